"""The process in which a heavy task runs: `python -m pilothouse.ops.pipeline.child STORE TASK`.

The task's JSON comes in on stdin. JSON lines go out on stdout: {"say": text} while it works, and at the end
{"result": ...} or {"error": text}. It ends when its worker does.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from pilothouse.ops.child import die_with_parent

_NICENESS = 5


def main(store_root: str, task: str) -> int:
    """Do one task. Exit code 0 also for a task that failed: the last line says so."""
    die_with_parent()
    os.nice(_NICENESS)
    answers = _take_stdout()
    from pilothouse.data.errors import PilothouseError

    def send(**line: Any) -> None:
        import msgspec

        answers.write(msgspec.json.encode(line) + b"\n")
        answers.flush()

    try:
        send(result=_work(store_root, task, sys.stdin.buffer.read(), lambda text: send(say=text)))
    except PilothouseError as error:
        send(error=str(error))
    except Exception as error:
        traceback.print_exc()
        send(error=f"{type(error).__name__}: {error}")
    return 0


def _take_stdout() -> IO[bytes]:
    """The real stdout for answers alone; whatever a library prints goes to stderr."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


def _work(store_root: str, task: str, request: bytes, say: Callable[[str], None]) -> Any:
    import msgspec

    from pilothouse.data.store import Store
    from pilothouse.ops.pipeline import tasks

    store = Store(Path(store_root))
    if task == "train":
        return tasks.train(msgspec.json.decode(request, type=tasks.TrainTask), store, say)
    return tasks.evaluate(msgspec.json.decode(request, type=tasks.EvaluateTask), store, say)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
