"""The log as its readers see it: every acknowledged row once, sealed or not, with the label that holds."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from pilothouse.data.delta import newest
from pilothouse.data.errors import MissingColumn
from pilothouse.data.log.decode import LabelDecoder, PredictionDecoder
from pilothouse.data.log.entries import KeyPart
from pilothouse.data.log.filters import Filter, condition
from pilothouse.data.log.find import Place, Search, newest_rows
from pilothouse.data.log.pending import pending
from pilothouse.data.log.repeats import new_labels, new_predictions
from pilothouse.data.log.schema import TRAFFIC, Role, prediction_schema
from pilothouse.data.log.snapshot import Query, Snapshot, take_snapshot
from pilothouse.data.log.spool import EntryKind
from pilothouse.data.log.tables import label_folder, prediction_folder
from pilothouse.data.policies import LabelPolicy, Silence
from pilothouse.data.settings import Settings
from pilothouse.data.signature import Signature, Task
from pilothouse.data.sql.duck import listed, quoted, statement
from pilothouse.data.sql.labels import label_matches, winning_labels
from pilothouse.data.windows import Clock, Window, as_utc, utc_now
from pilothouse.data.workspace import Workspace

_EVENTS_BACK, _EVENTS_AHEAD = timedelta(days=7), timedelta(days=1)
_SHARE_AT_MOST = 10_000
_NONE = "NULL::DOUBLE"
LEVEL = {Task.BINARY: "score", Task.REGRESSION: "prediction", Task.MULTICLASS: _NONE}
"""The column in which two answers differ by more or less; classes do not."""


class PredictionLog:
    """Reads the log of one model. Cheap to make; every call sees all that was acknowledged before it.

    Frames have the columns of `prediction_schema`, features as x_<name>; missing is null; times are aware UTC.
    """

    def __init__(
        self,
        workspace: Workspace,
        model: str,
        signature: Signature,
        policy: LabelPolicy,
        *,
        settings: Settings | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self.model, self.signature, self.policy = model, signature, policy
        self._workspace = workspace
        self._dedup_days = (settings or Settings()).dedup_days
        self._clock = clock

    def predictions(
        self,
        window: Window | None = None,
        columns: Sequence[str] | None = None,
        versions: Collection[int] | None = None,
        roles: Iterable[Role] = TRAFFIC,
    ) -> pl.DataFrame:
        """Rows whose event lies in `window`, oldest first; `columns` in the order asked, all of them by default.

        versions : None for all. Raises MissingColumn for a column that the log does not have.
        """
        chosen = self._checked(columns)
        log = self._predictions()
        with Query(log) as query:
            sql = statement("predictions").format(
                columns=listed(chosen), log=query.relation("predictions", log, window)
            )
            return query.ask(sql, _scope(window, versions, roles))

    def labelled(
        self,
        window: Window | None = None,
        columns: Sequence[str] | None = None,
        versions: Collection[int] | None = None,
        roles: Iterable[Role] = TRAFFIC,
        as_known: datetime | None = None,
    ) -> pl.DataFrame:
        """What `predictions` gives, and the label that holds: `label`, `observed_at`, `recorded_at`, or nulls.

        as_known : answer as one would have answered then: from what had been logged and told before it.
        Where silence means the negative class, a row without label has it once the horizon is over; both of its times
        are then the horizon's end.
        """
        chosen = self._checked(columns)
        known_at = None if as_known is None else as_utc(as_known, "as_known")
        # Labels first: the prediction of every label read is then in sight.
        told, log = self._labels(), self._predictions()
        with Query(told, log) as query:
            sql = statement("labelled").format(
                columns=", ".join(f"log.{quoted(name)}" for name in chosen),
                log=query.relation("predictions", log, window),
                labels=query.relation("labels", told),
                winning=winning_labels("scope", "told"),
            )
            values = {"as_known": known_at, "horizon": self.policy.horizon}
            frame = query.ask(sql, _scope(window, versions, roles) | values)
        return self._with_silence(frame, known_at or self._clock()).drop("horizon_end")

    def find(
        self,
        window: Window,
        *,
        limit: int,
        filters: Sequence[Filter] = (),
        id: str | None = None,
        key: Mapping[str, KeyPart] | None = None,
        before: Place | None = None,
        roles: Iterable[Role] = TRAFFIC,
    ) -> pl.DataFrame:
        """The newest rows that meet every condition, newest first, as `labelled` gives them.

        id, key : of one prediction, or of those whose business keys hold all pairs. before : only rows older than that.
        A filter on the label speaks of labels that were told, not of what silence means. Raises BadFilter.
        """
        search = Search(
            window=window,
            limit=limit,
            condition=condition(filters, self.signature),
            roles=tuple(role.value for role in roles),
            id=id,
            key=key,
            before=before,
        )
        # Labels first, as in `labelled`.
        told, log = self._labels(), self._predictions()
        rows = newest_rows(search, log, told, self.policy.horizon)
        return self._with_silence(rows, self._clock()).drop("horizon_end")

    def share(self, columns: Sequence[str], logged: Window, version: int, share: float) -> pl.DataFrame:
        """Some of the rows that `version` answered as traffic, by a hash of their ids; the oldest, where they are many.

        logged : when they were logged. Rows whose event lies further back than a week before that are left out. share : 0 to 1.
        """
        log = self._predictions()
        near = _events_near(logged)
        values = {"start": logged.start, "end": logged.end, "version": version, "millionths": round(share * 1e6)}
        with Query(log) as query:
            sql = statement("share").format(
                columns=listed(self._checked(columns)), log=query.relation("predictions", log, near)
            )
            return query.ask(sql, values | {"roles": [role.value for role in TRAFFIC], "limit": _SHARE_AT_MOST})

    def answers(self, logged: Window) -> pl.DataFrame:
        """Of each version and role of TRAFFIC: rows, errors, mean, positive, p50_ms, p99_ms.

        logged : when; rows whose event lies further back than a week before that are left out. mean : of the score, or
        of a regression's predictions. positive : share of predictions of the positive class. Null where there is none.
        """
        binary, level = self.signature.task is Task.BINARY, LEVEL[self.signature.task]
        positive = "(prediction = $positive)::INTEGER" if binary else _NONE
        values = {"positive": self.signature.target.positive} if binary else {}
        return self._logged("answers", logged, values, level=level, positive=positive)

    def requests(self, logged: Window) -> pl.DataFrame:
        """Requests answered in `logged`: spool, version, logged_at, latency_us, rows, failed; oldest first.

        Rows whose event lies further back than a week before that are left out.
        """
        return self._logged("requests", logged, {})

    def in_time(self, window: Window, within_us: int, *, logged: bool = False) -> dict[str, int]:
        """Requests whose event lies in `window`, and those of them answered within `within_us`: requests, in_time.

        logged : whether the window is of when they were logged, as in `requests`.
        """
        log, time = self._predictions(), "logged_at" if logged else "at"
        values = {"start": window.start, "end": window.end, "roles": [role.value for role in TRAFFIC]}
        with Query(log) as query:
            relation = query.relation("predictions", log, _events_near(window) if logged else window)
            sql = statement("in_time").format(log=relation, time=quoted(time))
            return query.ask(sql, values | {"within_us": within_us}).row(0, named=True)

    def pairs(self, logged: Window, version: int) -> dict[str, Any]:
        """The shadow `version` against the answers to the same rows: rows, agreement, difference, distance.

        logged : when the shadow's were. agreement : share of equal predictions. difference, distance : mean of its score
        (a regression's prediction) minus the answer's, and mean of the size of that. None without rows.
        """
        log, near, level = self._predictions(), _events_near(logged), LEVEL[self.signature.task]
        difference = _NONE if level == _NONE else f"said.{level} - given.{level}"
        values = {"start": logged.start, "end": logged.end, "version": version, "shadow": Role.SHADOW.value}
        with Query(log) as query:
            relation = query.relation("predictions", log, near)
            sql = statement("pairs").format(said=relation, given=relation, difference=difference)
            return query.ask(sql, values | {"answering": [role.value for role in TRAFFIC]}).row(0, named=True)

    def label_facts(self, window: Window) -> dict[str, int]:
        """Of the labels recorded in `window`: told, unknown, late, conflicting, corrected; see label_facts.sql."""
        told, log = self._labels(), self._predictions()
        with Query(told, log) as query:
            sql = statement("label_facts").format(
                labels=query.relation("labels", told),
                matches=f"({label_matches(query.relation('predictions', log), 'numbered')})",
            )
            values = {"start": window.start, "end": window.end, "horizon": self.policy.horizon}
            return query.ask(sql, values).row(0, named=True)

    def count(self) -> int:
        """Rows of all roles and versions, sealed or not."""
        return int(self._extent()["rows"])

    def bounds(self) -> tuple[datetime, datetime] | None:
        """The first and the last event time, or None while the log is empty."""
        extent = self._extent()
        return (as_utc(extent["first"]), as_utc(extent["last"])) if extent["rows"] else None

    def unsealed_rows(self) -> int:
        """Predictions that stand in a spool and not yet in the table; retries among them are counted too."""
        with pending(self._workspace.spool) as spools:
            folder = newest(prediction_folder(self._workspace, self.model, self.signature))
            return sum(s.count(self.model, EntryKind.PREDICTIONS, after=folder.mark(s.id)) for s in spools)

    def rows_set_aside(self) -> int:
        """Rows that were acknowledged but cannot be read; their bytes are kept in the spools."""
        with pending(self._workspace.spool) as spools:
            return sum(spool.rows_set_aside(self.model) for spool in spools)

    def _logged(self, question: str, logged: Window, values: Mapping[str, Any], **parts: str) -> pl.DataFrame:
        """The answer to a statement over the rows of TRAFFIC that were logged in a span."""
        log = self._predictions()
        span = {"start": logged.start, "end": logged.end, "roles": [role.value for role in TRAFFIC]}
        with Query(log) as query:
            sql = statement(question).format(log=query.relation("predictions", log, _events_near(logged)), **parts)
            return query.ask(sql, span | dict(values))

    def _predictions(self) -> Snapshot:
        return take_snapshot(
            self._workspace.spool,
            self.model,
            EntryKind.PREDICTIONS,
            prediction_folder(self._workspace, self.model, self.signature),
            PredictionDecoder(self.signature),
            new_predictions(self._dedup_days),
        )

    def _labels(self) -> Snapshot:
        return take_snapshot(
            self._workspace.spool,
            self.model,
            EntryKind.LABELS,
            label_folder(self._workspace, self.model, self.signature),
            LabelDecoder(self.signature),
            new_labels(self._dedup_days),
        )

    def _extent(self) -> dict[str, Any]:
        log = self._predictions()
        with Query(log) as query:
            sql = statement("extent").format(log=query.relation("predictions", log))
            return query.ask(sql, {}).row(0, named=True)

    def _checked(self, columns: Sequence[str] | None) -> list[str]:
        known = prediction_schema(self.signature).names
        for name in columns or ():
            if name not in known:
                raise MissingColumn(f"the log of {self.model}", name, known)
        return list(known if columns is None else columns)

    def _with_silence(self, frame: pl.DataFrame, now: datetime) -> pl.DataFrame:
        classes = self.signature.target.classes
        if self.policy.silence is not Silence.NEGATIVE or not classes:
            return frame
        silent = pl.col("label").is_null() & (pl.col("horizon_end") < now)
        told = {
            "label": pl.lit(classes[0], dtype=frame.schema["label"]),
            "observed_at": pl.col("horizon_end"),
            "recorded_at": pl.col("horizon_end"),
        }
        return frame.with_columns(
            pl.when(silent).then(value).otherwise(pl.col(name)).alias(name) for name, value in told.items()
        )


def _events_near(logged: Window) -> Window:
    return Window(logged.start - _EVENTS_BACK, logged.end + _EVENTS_AHEAD)


def _scope(window: Window | None, versions: Collection[int] | None, roles: Iterable[Role]) -> dict[str, Any]:
    return {
        "start": None if window is None else window.start,
        "end": None if window is None else window.end,
        "versions": None if versions is None else list(versions),
        "roles": [role.value for role in roles],
    }
