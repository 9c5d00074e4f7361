"""The address that explains answers: few rows, one request at a time in a thread, so that predicting is not slowed."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from pilothouse.data.errors import BadRows, CannotExplain, Fault, PilothouseError
from pilothouse.data.signature import Value
from pilothouse.data.state.keys import PREDICT
from pilothouse.data.workspace import Workspace
from pilothouse.ops.answers import Problem
from pilothouse.ops.measuring.explainer import (
    Explainer,
    background_of,
    check_unaltered,
    level,
    outcome_words,
    reference_features,
    row_frame,
)
from pilothouse.ops.serving import faults
from pilothouse.ops.serving.checks import explain_check
from pilothouse.ops.serving.exchange import Answer, HttpRefusal, json_answer
from pilothouse.ops.serving.faults import Faults
from pilothouse.ops.serving.models import LiveModel, Models, Served
from pilothouse.ops.serving.passing import Call
from pilothouse.ops.serving.routes import Route

MAX_ROWS = 20
MOST_IN_HAND = 3
"""Requests that are explained or wait for it; one is explained at a time."""
_log = logging.getLogger("pilothouse.service")


class ExplainRoutes:
    """The addresses of explanations, over the models of one process. Lives on one event loop."""

    def __init__(self, workspace: Workspace, models: Models) -> None:
        self._workspace, self._models = workspace, models
        self._turn, self._in_hand = asyncio.Semaphore(1), 0
        self._explainers: dict[str, tuple[LiveModel, Explainer]] = {}

    def route(self, path: str) -> Route | None:
        """Who answers `path`; None where it is no address of explanations."""
        match path.split("/"):
            case ["", "models", name, "explain"]:
                return Route(
                    method="POST", template="/models/{name}/explain", act=self._explain, scope=PREDICT, model=name
                )  # fmt: skip
        return None

    async def _explain(self, call: Call) -> Answer:
        """What each feature contributed to what the live version says to the rows; nothing is logged.

        Raises UnknownModel, NotJson, BadRows, NoChampion, CannotExplain, or HttpRefusal (503) while others are explained.
        """
        served = self._models.served(call.model)
        if self._in_hand >= MOST_IN_HAND:
            detail = f"{self._in_hand} requests for explanations are in hand already. Try again in a second."
            raise HttpRefusal(Problem(status=503, kind="busy", detail=detail))
        self._in_hand += 1
        try:
            async with self._turn:
                return await asyncio.to_thread(self._explained, served, call.body)
        finally:
            self._in_hand -= 1

    def _explained(self, served: Served, body: bytes) -> Answer:
        live = served.live()
        signature = live.form.signature
        rows, of_class = _asked(body, served)
        frames = [row_frame(served.name, signature, row) for row in rows]
        try:
            explainer = replace(self._explainer(served, live), of_class=of_class)
            told = [_told(explainer, frame) for frame in frames]
        except PilothouseError:
            raise
        except Exception as error:
            # Models fail in whatever way they like, here on mixtures that nobody asked about.
            _log.warning("%s version %d failed on an explanation", live.name, live.version, exc_info=True)
            raise CannotExplain("the model fails on this row, or on mixtures of it with reference rows") from error
        said = {"model": served.name, "version": live.version, "background": explainer.background.height}
        # Without the version, which would count this among the predictions.
        return json_answer(said | {"explanations": told}, rows=len(told))

    def _explainer(self, served: Served, live: LiveModel) -> Explainer:
        known = self._explainers.get(served.name)
        if known is None or known[0] is not live:
            signature = live.form.signature
            check_unaltered(signature, served.model.classes)
            folder = self._workspace.reference(served.name, served.model.profile_id)
            background = background_of(reference_features(folder, signature), signature)
            known = live, Explainer(scorer=live.scorer, signature=signature, background=background)
            self._explainers[served.name] = known
        return known[1]


def _asked(body: bytes, served: Served) -> tuple[list[dict[str, Any]], Value]:
    """The rows in `body`, checked, and the class that is asked about. Raises NotJson, BadRows."""
    found, value = Faults(), faults.load_json(body)
    explain_check(served.form.signature, MAX_ROWS)(value, "", found)
    if found.found:
        raise BadRows(found.listed())
    if value.get("model") not in (None, served.name):
        raise BadRows([Fault("/model", f"must be {served.name}, the model of this address, or be left out")])
    return value["rows"], value.get("class")


def _told(explainer: Explainer, row: pl.DataFrame) -> dict[str, Any]:
    scored, signature = explainer.scorer.score(row), explainer.signature
    score = level(scored, explainer.places(scored))
    if not np.isfinite(score).all():
        raise CannotExplain("the model gives no number for this row")
    shares = explainer.shares(row)
    parts = zip(signature.names, shares.values.tolist(), shares.errors.tolist(), strict=True)
    return {
        "said": scored.prediction[0],
        "outcome": outcome_words(signature, scored.prediction[0] if explainer.of_class is None else explainer.of_class),
        "score": float(score[0]),
        "base": shares.base,
        "exact": shares.exact,
        "contributions": [{"feature": name, "contribution": value, "error": error} for name, value, error in parts],
    }
