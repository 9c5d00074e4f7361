"""The decorator behind `Client.watch`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any, Protocol, TypeVar, cast

from pilothouse_client.readings import Pick, Predicted, Record, picked, predicted

Act = Callable[..., Any]
_A = TypeVar("_A", bound=Act)


class Logger(Protocol):
    """What a watched function tells: a client."""

    def log(
        self, features: Mapping[str, Any], prediction: Any, *, score: Any, key: Mapping[str, Any] | None,
        version: int | None, latency_ms: float,
    ) -> str: ...  # fmt: skip

    def refuse(self, error: Exception) -> None: ...


def watched(
    client: Logger,
    act: _A,
    *,
    features: Pick | None,
    prediction: Callable[[Any], Predicted] | None,
    key: Pick | None,
    version: int | None,
) -> _A:
    """`act`, whose calls are logged. See `Client.watch`."""
    signature = inspect.signature(act)
    read = prediction or predicted

    def note(args: tuple[Any, ...], kwargs: dict[str, Any], returned: Any, began: float) -> None:
        latency_ms = (perf_counter() - began) * 1000
        try:
            record = _record(signature, args, kwargs)
            value, score = read(returned)
            keys = None if key is None else picked(record, key)
            client.log(
                picked(record, features), value, score=score, key=keys, version=version, latency_ms=latency_ms
            )  # fmt: skip
        except Exception as error:
            client.refuse(error)

    @functools.wraps(act)
    def plain(*args: Any, **kwargs: Any) -> Any:
        began = perf_counter()
        returned = act(*args, **kwargs)
        note(args, kwargs, returned, began)
        return returned

    @functools.wraps(act)
    async def awaited(*args: Any, **kwargs: Any) -> Any:
        began = perf_counter()
        returned = await act(*args, **kwargs)
        note(args, kwargs, returned, began)
        return returned

    return cast(_A, awaited if inspect.iscoroutinefunction(act) else plain)


def _record(signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Record:
    """The one mapping among the arguments, else the arguments by name; `self` is none of them."""
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    given = {name: value for name, value in bound.arguments.items() if name not in ("self", "cls")}
    mappings = [value for value in given.values() if isinstance(value, Mapping)]
    return mappings[0] if len(mappings) == 1 else given
