"""The house a notebook holds: the same as everywhere, with answers that show themselves."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import polars as pl

from pilothouse.app import ranges
from pilothouse.app.panel import Panel, page
from pilothouse.app.panels import drift as drifts
from pilothouse.app.panels import performance as performances
from pilothouse.app.panels.charts import STEPS, View
from pilothouse.data.errors import BadData
from pilothouse.data.history.history import History
from pilothouse.data.history.results import Drift, FeatureDrift, Measure, Performance
from pilothouse.data.log.schema import Role
from pilothouse.data.measures.changes import MEASURES, TESTS
from pilothouse.data.state import catalog
from pilothouse.data.state.schedules import Schedule
from pilothouse.data.windows import Window
from pilothouse.ops import house as ops
from pilothouse.ops.batch.report import BatchRun, batch_runs
from pilothouse.ops.figures import recount_day
from pilothouse.ops.forward.status import ForwardStatus, Lag, forward_status
from pilothouse.ops.governance.columns import allow_unmasking
from pilothouse.ops.model import ModelHandle
from pilothouse.ops.reports.report import EvidentlyReport
from pilothouse.ops.reports.running import Child

if TYPE_CHECKING:
    import pandas as pd

    from pilothouse.data.rollups.recount import RecountReport
    from pilothouse.ops.batch.report import ScoreReport
    from pilothouse.ops.deploy.package import Package

_FRAME_HEIGHT_PX = 700


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer about the past: the value itself, its rows as a frame, and the panels that a page shows of it.

    result : the frozen value (`pilothouse.data.history.results`). frame : one row a feature, metric or bucket.
    url : the dashboard page that shows the same.
    """

    result: Any
    frame: pl.DataFrame
    panels: tuple[Panel, ...]
    url: str

    def to_pandas(self) -> pd.DataFrame:
        return self.frame.to_pandas()

    def to_html(self) -> str:
        """All panels on one page that stands alone."""
        return page(self.panels)

    def __repr__(self) -> str:
        return "\n\n".join(str(panel) for panel in self.panels)

    def _ipython_display_(self) -> None:
        from IPython.display import display

        for panel in self.panels:
            display(panel)  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportAnswer:
    """Evidently's report: `html` the whole of it, `frame` its verdict on each feature beside ours."""

    result: EvidentlyReport
    frame: pl.DataFrame

    @property
    def html(self) -> str:
        return self.result.html

    @property
    def seconds(self) -> float:
        return self.result.seconds

    @property
    def features(self) -> tuple[Any, ...]:
        return self.result.features

    def save(self, path: str | Path) -> Path:
        """Write the report as an HTML file."""
        file = Path(path)
        file.write_text(self.result.html, encoding="utf-8")
        return file

    def to_pandas(self) -> pd.DataFrame:
        return self.frame.to_pandas()

    def __repr__(self) -> str:
        made = self.result
        return f"Evidently report, {made.window}: {made.sampled_rows:,} of {made.rows:,} rows, {made.seconds:.1f} s"

    def _repr_html_(self) -> str:
        """The report in a sandboxed frame, so that its scripts and styles cannot reach the notebook's."""
        document = base64.b64encode(self.result.html.encode()).decode()
        title = html.escape(repr(self), quote=True)
        return (
            f'<iframe title="{title}" sandbox="allow-scripts" width="100%" height="{_FRAME_HEIGHT_PX}" '
            f'style="border:1px solid #8884" src="data:text/html;base64,{document}"></iframe>'
        )


class House(ops.House):
    """A workspace and what can be done in it. `house[name]` is a model; showing the house lists them."""

    def __getitem__(self, name: str) -> Model:
        """Raises UnknownModel."""
        with self.state.read() as conn:
            return Model(self, catalog.get_model(conn, name))

    def package(
        self, names: Sequence[str], out: str | Path, *, tell: Callable[[str], None] = lambda step: None
    ) -> Package:
        """Make one Bento of the champions of several models in the folder `out`. See `pilothouse.ops.deploy.package`."""
        from pilothouse.ops.deploy.package import package

        return package(self, names, out, tell=tell)

    def forward_status(self) -> ForwardStatus:
        """What of the log was sent on to the central house, and what waits; empty where `central_url` names none."""
        return forward_status(self)

    def __repr__(self) -> str:
        return f"House({self.workspace.root}): {', '.join(self.models()) or 'no models yet'}"

    def page_url(self, page: str, **query: str) -> str:
        """Where the dashboard shows it, if it runs on its usual port."""
        return f"http://127.0.0.1:{self.settings.dashboard_port}/{page}?{urlencode(query)}"


class Model(ModelHandle):
    """One model. Windows are texts (`14d`, `8w`, `START/END`) or Window values."""

    house: House

    def drift(
        self, window: str | Window = "7d", *, exact: bool = False, unmask: bool = False, reason: str = ""
    ) -> Answer:
        """Drift of every feature over the window, and day by day within it. exact : read every row for the former.

        unmask : show sensitive features too, for a `reason`, which is audited. Raises NotAllowed.
        """
        chosen = self._window(window)
        found, _ = self.shown_drift(chosen, exact=exact, unmask=unmask, reason=reason)
        view = self._view(chosen, "day")
        points = self.history.drift_trend(chosen, STEPS[view.every])
        heat = drifts.heatmap(points, [feature.name for feature in found.features], view)
        return self._answer(found, rows_of(found), (drifts.ranked(found), heat), window)

    def performance(self, window: str | Window = "8w", *, exact: bool = False) -> Answer:
        """Realized performance over the window, and its course week by week. exact : read every score for the former."""
        chosen = self._window(window)
        found = self.history.performance(chosen, exact=exact)
        view = self._view(chosen, "week")
        points = self.history.performance_trend(chosen, STEPS[view.every])
        main = performances.main_of(points)
        panels = (performances.metric_trend(points, main, view), *performances.beside(points, points, view, main))
        return self._answer(found, rows_of(found), panels, window)

    def score(self, source: Any, out: str | Path | None = None, **options: Any) -> ScoreReport:
        """Score every row of a file or frame and log them with the role batch; without `out` they are in `frame`.

        Options and errors are those of `pilothouse.ops.batch.entry.score`. Broken off, the same call goes on.
        """
        from pilothouse.ops.batch.entry import score

        return score(self, source, out, **options)

    def package(
        self, out: str | Path, *, version: int | None = None, tell: Callable[[str], None] = lambda step: None
    ) -> Package:
        """Make a Bento of a version (None: the champion) in the folder `out`: it serves alone, wherever it is taken.

        tell : takes each step. Errors are those of `pilothouse.ops.deploy.package.package`.
        """
        from pilothouse.ops.deploy.package import package

        return package(self.house, [self.name], out, version=version, tell=tell)

    def schedule(
        self, source: str | Path, out: str | Path, *, every: str, start: str | None = None, **options: Any
    ) -> Schedule:
        """Have a file scored again and again by the worker; `house.schedules()` lists what is, `house.unschedule(id)` ends it.

        every : 1h, 1d, 1w. start : a time of day such as 03:00. %Y %m %d %H %M in `source` and `out` become the time at
        which each batch is due. Options are the fields of `pilothouse.ops.batch.jobs.Asked`.
        """
        from pilothouse.ops.batch.jobs import Asked
        from pilothouse.ops.batch.schedules import schedule

        asked = Asked(source=str(source), out=str(out), **options)
        return schedule(self.house, self.name, asked, every=every, start=start)

    @property
    def forward_lag(self) -> Lag | None:
        """How far the model's log is from the central house; None where nothing is sent on."""
        return forward_status(self.house).of(self.name)

    @property
    def batches(self) -> tuple[BatchRun, ...]:
        """The newest batches that were scored, newest first."""
        return batch_runs(self.house.state, self.name)

    def history_of(self, role: str) -> History:
        """The past of rows with one role, such as batch, which `history` does not count. Raises BadData."""
        if role not in (allowed := [each.value for each in Role]):
            raise BadData(f"{role!r} is no role. There are: {', '.join(allowed)}.")
        house = self.house
        return History(
            house.workspace, self.name, self.signature, self.profile, self.label_policy, house.settings,
            roles=[Role(role)], thresholds=self.row.drift_thresholds,
        )  # fmt: skip

    def recount(self, day: date | None = None) -> RecountReport:
        """Compare a day's roll-ups with its rows, by default the newest whole day's. Raises EmptyWindow, StoreBusy."""
        return recount_day(self, day)

    def unmask(self, *, reason: str) -> None:
        """Write down that sensitive and masked values are about to be shown, and why. Raises NotAllowed, NoReason."""
        house = self.house
        allow_unmasking(house.state, house.actor, self.name, self.row.classes, reason, house.clock)

    def report(  # type: ignore[override]
        self, window: str | Window = "14d", presets: Sequence[str] | None = None, child: Child | None = None
    ) -> ReportAnswer:
        """Evidently's report of the window against the reference, made in a child process. See `ops.reports.asking`."""
        made = super().report(self._window(window), presets, child)
        return ReportAnswer(result=made, frame=pl.DataFrame([asdict(feature) for feature in made.features]))

    def _view(self, window: Window, every: str) -> View:
        zone, events = self.house.settings.zone, self.events(window)
        return View(model=self.name, within=window, zone=zone, every=every, events=events)

    def _window(self, window: str | Window) -> Window:
        return window if isinstance(window, Window) else self.window(window)

    def _url_range(self, asked: str | Window) -> str:
        return ranges.window_text(self._window(asked), self.house.settings.zone)

    def _answer(
        self, result: Drift | Performance, frame: pl.DataFrame, panels: tuple[Panel, ...], asked: str | Window
    ) -> Answer:
        shown = asked if isinstance(asked, str) and ranges.is_back(asked) else self._url_range(asked)
        url = self.house.page_url("model", model=self.name, range=shown)
        return Answer(result=result, frame=frame, panels=panels, url=url)

    def __repr__(self) -> str:
        champion = self.champion
        live = f"champion v{champion.version}" if champion else "no champion"
        return f"Model({self.name}): {self.task}, {len(self.row.signature.features)} features, {live}"


def rows_of(result: Drift | Performance) -> pl.DataFrame:
    """One row a feature, or one a metric."""
    if isinstance(result, Drift):
        return pl.DataFrame([_flat(feature) for feature in result.features], infer_schema_length=None)
    rows = [{"metric": name} | asdict(metric) for name, metric in result.metrics.items()]
    return pl.DataFrame(rows, infer_schema_length=None)


def _flat(feature: FeatureDrift) -> dict[str, object]:
    """Every measure as a column, beside a test's its chance and the adjusted one; None where it has none."""
    told = {name: feature.more.get(name, Measure(value=None)) for name in MEASURES if name != "ks"}
    plain = {name: value for name, value in asdict(feature).items() if name != "more"}
    values = {name: m.value for name, m in told.items()}
    chances = {f"{name}_{part}": getattr(m, part) for name, m in told.items() if name in TESTS for part in ("p", "q")}
    return plain | values | chances


def open_house(workspace: str | Path) -> House:
    """The house of the dashboard: the workspace that it was started for."""
    return House.open(workspace)
