"""What a version leans on, in processor time, against scikit-learn's permutation importance of the pipeline itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from pilothouse.ops.measuring.contributions import MOST_ROWS as CONTRIBUTIONS
from pilothouse.ops.measuring.frames import TRUE, judged_version, reference_rows
from pilothouse.ops.measuring.importance import MOST_ROWS, REPEATS
from pilothouse.ops.model import ModelHandle
from pilothouse.ops.scoring import load_original, model_frame
from tests.bench.repeat import alternate, cpu_ms, median_of_each
from tests.bench.table import Row

_UNIT = "CPU ms"


def rows(model: ModelHandle, size: str, times: int) -> list[Row]:
    """On as many reference rows, each feature dealt out as often; ours also deals out groups and draws bands."""
    one = model.rows(model.window("1d"), 1).frame["prediction_id"][0]
    acts: dict[str, Callable[[], object]] = {
        "ours": model.importance,
        "rival": lambda: sklearn_importance(model),
        "one": lambda: model.explain(id=one),
        "shap": lambda: model.importance(by="shap"),
    }
    found = median_of_each(alternate({name: partial(cpu_ms, act) for name, act in acts.items()}, min(times, 3)))
    name = f"permutation importance, {MOST_ROWS:,} rows, {REPEATS} repeats: scikit-learn's"
    return [
        Row(name=name, ours=found["ours"], rival=found["rival"], unit=_UNIT, size=size),
        Row(name="one prediction explained, found by its id", ours=found["one"], unit=_UNIT, size=size),
        Row(name=f"contributions by shap, {CONTRIBUTIONS} answers", ours=found["shap"], unit=_UNIT, size=size),
    ]


def sklearn_importance(model: ModelHandle) -> object:
    from sklearn.inspection import permutation_importance

    version = judged_version(model, None)
    known = reference_rows(model, version).drop_nulls(TRUE)
    taken = known.sample(min(MOST_ROWS, known.height), seed=0)
    pipeline = load_original(model.house.store, version).model
    return permutation_importance(
        pipeline, model_frame(version.signature, taken), taken[TRUE].to_numpy(), scoring="roc_auc", n_repeats=REPEATS,
        random_state=0,
    )  # fmt: skip
