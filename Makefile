# Few words, each one line that a person could type.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
SIZE ?= small
ONLY ?= all
# Tests of one file stay together: they share what they start. Files go in the order of their folders, the long ones of
# browser, demo and faults first, so that no process is left alone with them at the end. Those marked `alone` measure, and
# run by themselves.
PROCESSES ?= 2
# Ending with 5 means that none was chosen.
TOGETHER := --numprocesses $(PROCESSES) --dist loadfile --no-loadscope-reorder -m "not alone"

.PHONY: demo test check bench faults golden planted clean

demo: $(VENV)/.demo
	$(BIN)/pilothouse demo $(ARGS)

test: $(VENV)/.test
	$(BIN)/python -m pytest $(TOGETHER) $(ARGS) || test $$? -eq 5
	$(BIN)/python -m pytest -m alone $(ARGS) || test $$? -eq 5

check: $(VENV)/.test
	$(BIN)/ruff format --check && $(BIN)/ruff check && $(BIN)/mypy

bench: $(VENV)/.test
	$(BIN)/python -m tests.bench --only $(ONLY) --size $(SIZE)

faults: $(VENV)/.test
	$(BIN)/python -m tests.faults --only $(ONLY) --size $(SIZE)

golden: $(VENV)/.test
	$(BIN)/python -m tests.golden --only $(ONLY)

planted: $(VENV)/.test
	$(BIN)/python -m tests.planted --only $(ONLY) --size $(SIZE)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[demo,notebook]'
	@touch $@

$(VENV)/.test: $(VENV)/bin/python pyproject.toml constraints.txt ops/client/pyproject.toml
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]' --editable ops/client
	.ci/system-packages
	@touch $@

clean:
	rm -rf $(VENV) build dist src/*.egg-info ops/client/build ops/client/src/*.egg-info .mypy_cache .ruff_cache .pytest_cache
