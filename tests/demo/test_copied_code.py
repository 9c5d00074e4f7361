"""`Copy as Python`: the code in every panel's menu runs as it stands, and yields the panel's own rows."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.support.dashboard import dashboard_of, open_page

from pilothouse.app import render
from pilothouse.app.panel import Panel

Seen = dict[str, tuple[Panel, str]]
MODEL_PAGE = (
    "flights-roc_auc-trend", "flights-log_loss-trend", "flights-calibration", "flights-drift-map", "flights-distribution",
    "flights-impact", "flights-traffic", "flights-latency", "flights-coverage",
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def pages(september: Path) -> Iterator[None]:
    with dashboard_of(september):
        yield


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """Every panel that is shown, by name, with the script in its menu."""
    found: Seen = {}
    shown = render.show

    def keep(panel: Panel, **given: Any) -> None:
        found[panel.name] = (panel, render.script(panel))
        shown(panel, **given)

    monkeypatch.setattr(render, "show", keep)
    return found


def run(script: str) -> Any:
    """The value of the script's last line, as a notebook would show it."""
    *lines, last = ast.parse(script).body
    assert isinstance(last, ast.Expr)
    names: dict[str, Any] = {}
    exec(compile(ast.Module(lines, []), "copied", "exec"), names)
    value = eval(compile(ast.Expression(last.value), "copied", "eval"), names)
    names["house"].close()
    return value


def same(got: Sequence[Any], expected: Sequence[Any]) -> None:
    """Cell by cell; sums of floats may differ in their last digit, since buckets are added up in any order."""
    assert len(got) == len(expected)
    for mine, other in zip(got, expected, strict=True):
        for a, b in zip(mine, other, strict=True):
            assert a == (pytest.approx(b, rel=1e-9) if isinstance(b, float) else b)


def counts(point: Any) -> tuple[Any, ...]:
    p = point
    return p.window.start, p.window.end, p.version, p.rows, p.labelled, p.coverage, p.mature


def trend(panel: Panel, points: Sequence[Any]) -> None:
    names = panel.rows.columns[7:]
    got = [(*counts(p), *(p.metrics[name].value for name in names)) for p in points]
    same(got, panel.rows.rows)


def drift_map(panel: Panel, points: Sequence[Any]) -> None:
    features = panel.rows.columns[3:]
    got = [(p.window.start, p.window.end, p.rows, *(p.psi[name] for name in features)) for p in points]
    same(got, panel.rows.rows)


def traffic(panel: Panel, points: Sequence[Any]) -> None:
    assert [(p.window.start, p.version, p.rows) for p in points] == [(r[0], r[2], r[3]) for r in panel.rows.rows]


def shape(panel: Panel, found: Any) -> None:
    same([(b.label, b.reference, b.current) for b in found.bins], [(r[0], r[3], r[4]) for r in panel.rows.rows])


def impact(panel: Panel, found: Any) -> None:
    *of_features, rest = panel.rows.rows
    same([(f.name, f.effect.value) for f in found.features], [row[:2] for row in of_features])
    assert rest[1] == pytest.approx(found.remainder.value)


CHECKS: dict[str, Callable[[Panel, Any], None]] = {
    "flights-drift-map": drift_map, "flights-distribution": shape, "flights-impact": impact,
    "flights-traffic": traffic, "flights-latency": traffic,
}  # fmt: skip


def check_all(seen: Seen) -> None:
    for name, (panel, script) in seen.items():
        assert panel.rows.rows, name
        CHECKS.get(name, trend)(panel, run(script))


@pytest.mark.parametrize("asked", ["14d", "26w"])
def test_the_model_page_s_code_gives_its_rows(seen: Seen, asked: str) -> None:
    app = open_page("model", range=asked)
    assert not app.exception
    assert set(seen) == set(MODEL_PAGE)
    shown_code = {code.value for code in app.code}
    assert {script for _, script in seen.values()} <= shown_code
    check_all(seen)


@pytest.mark.parametrize("page", ["drift", "performance", "segments", "quality"])
def test_the_code_of_the_other_pages_runs(seen: Seen, page: str) -> None:
    app = open_page(page, range="14d")
    assert not app.exception
    assert len(seen) > 1
    for panel, script in seen.values():
        assert not panel.code or run(script) is not None


def test_versions_apart_by_day_are_asked_for_apart(seen: Seen) -> None:
    app = open_page("model", range="30d")
    app.button_group(key="step").set_value("day")
    app.toggle(key="by-version").set_value(True)
    seen.clear()
    app.run()
    assert not app.exception
    assert "by_version=True" in seen["flights-roc_auc-trend"][1]
    assert "timedelta(days=1)" in seen["flights-coverage"][1]
    check_all(seen)
