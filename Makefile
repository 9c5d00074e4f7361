# Few words, each one line that a person could type.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
SIZE ?= small
ONLY ?= all
# Tests of one file stay together: they share what they start.
PROCESSES ?= 2

.PHONY: demo test check bench faults clean

demo: $(VENV)/.demo
	$(BIN)/pilothouse demo $(ARGS)

test: $(VENV)/.test
	$(BIN)/python -m pytest --numprocesses $(PROCESSES) --dist loadfile $(ARGS)

check: $(VENV)/.test
	$(BIN)/ruff format --check && $(BIN)/ruff check && $(BIN)/mypy

bench: $(VENV)/.test
	$(BIN)/python -m tests.bench --only $(ONLY) --size $(SIZE)

faults: $(VENV)/.test
	$(BIN)/python -m tests.faults --only $(ONLY) --size $(SIZE)

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
