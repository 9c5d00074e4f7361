"""The process in which a heavy task runs: `python -m pilothouse.ops.pipeline.child STORE TASK`.

The task's JSON comes in on stdin. JSON lines go out on stdout: {"say": text} while it works, and at the end
{"result": ...} or {"error": text}. It ends when its worker does.
"""

from __future__ import annotations

import os
import resource
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from pilothouse.ops.child import die_with_parent

_NICENESS = 5
_CPU_S = 300
_MEMORY_BYTES = 8 * 2**30


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
    from pilothouse.ops.batch import jobs as batches
    from pilothouse.ops.pipeline import tasks, validation
    from pilothouse.ops.runtimes import tasks as runtimes

    store = Store(Path(store_root))
    if task == "train":
        return tasks.train(msgspec.json.decode(request, type=tasks.TrainTask), store, say)
    if task == "evaluate":
        return tasks.evaluate(msgspec.json.decode(request, type=tasks.EvaluateTask), store, say)
    if task == "test":
        return validation.run_tests(msgspec.json.decode(request, type=validation.TestTask), store, say)
    if task == batches.KIND:
        _limit_memory()
        return batches.score(msgspec.json.decode(request, type=batches.Task), say)
    _limit_itself()
    if task == "convert":
        return runtimes.examine(msgspec.json.decode(request, type=runtimes.ExamineTask), store, say)
    if task == "rescore":
        return runtimes.rescore(msgspec.json.decode(request, type=runtimes.RescoreTask), store, say)
    return runtimes.check(msgspec.json.decode(request, type=runtimes.CheckTask), store, say)


def _limit_itself() -> None:
    """End a piece of work that takes far more than it should, rather than the machine."""
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
    _limit_memory()


def _limit_memory() -> None:
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY_BYTES, _MEMORY_BYTES))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
