"""The only place that reads a pickle: a process of its own, which makes a skops file of it and ends.

`python -m pilothouse.ops.runtimes.quarantine FOLDER` reads `order.json` and `model.pickle` in FOLDER, writes
`model.skops` beside them, and prints one line of JSON that says how it went.

What holds the process: only classes of known libraries are built, so that a pickle calls no function of its choice; time
and memory are limited; and once the libraries are loaded an audit hook refuses sockets, other programs, and writing
outside FOLDER. The hook stops Python code, and no native code that knows of it: the list of classes is the wall, the hook
the second one.
"""

from __future__ import annotations

import os
import resource
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

CPU_S, MEMORY_BYTES, FILE_BYTES = 120, 4 * 2**30, 2**30
PICKLE, SKOPS, CODE, ORDER = "model.pickle", "model.skops", "code.zip", "order.json"
_LIBRARIES = (
    "sklearn.", "numpy.", "scipy.sparse.", "scipy.interpolate.", "pandas.core.", "pandas._libs.", "lightgbm.",
    "xgboost.", "catboost.",
)  # fmt: skip
"""Whose classes may be built."""
_PLAIN = frozenset(
    {"set", "frozenset", "complex", "slice", "range", "bytearray", "object", "list", "dict", "tuple", "int", "float"}
    | {"str", "bytes", "bool"}
)
_BY_NAME = frozenset(
    {
        "_codecs.encode",
        "collections.OrderedDict",
        "collections.defaultdict",
        "copyreg.__newobj__",
        "copyreg._reconstructor",
        "joblib.numpy_pickle.NumpyArrayWrapper",
        "numpy._core.multiarray._reconstruct",
        "numpy._core.multiarray.scalar",
        "numpy.core.multiarray._reconstruct",
        "numpy.core.multiarray.scalar",
        "numpy.random._pickle.__bit_generator_ctor",
        "numpy.random._pickle.__generator_ctor",
        "numpy.random._pickle.__randomstate_ctor",
        "pandas._libs.internals._unpickle_block",
        "pandas.core.indexes.base._new_Index",
    }
)
"""Single names of other modules, and functions that rebuild arrays and the like."""
_CYTHON = "__pyx_unpickle_"
_REFUSED = (
    "socket.", "subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.system", "pty.", "os.kill",
    "os.remove", "os.rename", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.chown", "os.truncate", "os.mkdir",
    "shutil.", "urllib.", "http.", "ftplib.", "smtplib.", "webbrowser.",
)  # fmt: skip
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Order(msgspec.Struct):
    """trusted : types that the skops file may name. own : modules of the archive CODE, where there is one."""

    trusted: list[str]
    own: list[str]


class Answer(msgspec.Struct):
    """error : why there is no skops file. untrusted : types that it would name, and that nobody trusts yet."""

    error: str = ""
    untrusted: list[str] = []
    warnings: list[str] = []


class Unfit(Exception):
    """What stands in the pickle is not built."""


def main(folder: Path) -> None:
    """Do the work, and print an Answer."""
    _limit()
    answers = os.fdopen(os.dup(1), "wb")
    # Whatever a library prints must not be taken for the answer.
    os.dup2(2, 1)
    order = msgspec.json.decode((folder / ORDER).read_bytes(), type=Order)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        answer = _answer(folder, order)
    answer.warnings = sorted({str(warning.message).split("\n")[0][:300] for warning in told})
    answers.write(msgspec.json.encode(answer))
    answers.close()


def _answer(folder: Path, order: Order) -> Answer:
    from pilothouse.data.errors import PilothouseError, UntrustedArtifact
    from pilothouse.ops import artifacts

    try:
        model = _read(folder, frozenset(order.own))
        (folder / SKOPS).write_bytes(artifacts.dump(model, order.trusted, frozenset(order.own)))
    except UntrustedArtifact as error:
        return Answer(untrusted=[*error.types])
    except (PilothouseError, Unfit) as error:
        return Answer(error=str(error))
    except Exception as error:
        # A pickle may hold anything, and fail in whatever way.
        return Answer(error=f"it could not be read ({type(error).__name__}: {str(error)[:200]})")
    return Answer()


def _limit() -> None:
    for what, most in (
        (resource.RLIMIT_CPU, CPU_S), (resource.RLIMIT_FSIZE, FILE_BYTES), (resource.RLIMIT_CORE, 0),
    ):  # fmt: skip
        resource.setrlimit(what, (most, most))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))


def _close_doors(folder: Path) -> None:
    """From here on Python code of this process reaches no network, starts no program, and writes in `folder` only."""
    inside = f"{folder.resolve()}{os.sep}"

    def refuse(event: str, told: tuple[Any, ...]) -> None:
        if event.startswith(_REFUSED):
            raise PermissionError(f"{event} is refused while a pickle is read")
        if event == "open" and isinstance(told[2], int) and told[2] & _WRITES:
            path = told[0]
            if isinstance(path, str | bytes) and not os.path.realpath(os.fsdecode(path)).startswith(inside):
                raise PermissionError("writing is refused while a pickle is read")

    sys.dont_write_bytecode = True
    sys.addaudithook(refuse)


def _read(folder: Path, own: frozenset[str]) -> Any:
    """What stands in the pickle. Raises Unfit, or anything."""
    import sklearn.ensemble
    import sklearn.pipeline  # noqa: F401
    from joblib.numpy_pickle import NumpyUnpickler
    from joblib.numpy_pickle_utils import _validate_fileobject_and_memmap

    class Wary(NumpyUnpickler):  # type: ignore[misc]
        def find_class(self, module: str, name: str) -> Any:
            return allowed(module, name, lambda: super(Wary, self).find_class(module, name), own)

    path = folder / PICKLE
    _close_doors(folder)
    with path.open("rb") as file, _validate_fileobject_and_memmap(file, str(path)) as (stream, _), _code(folder):
        if isinstance(stream, str):
            # The oldest format of joblib is read by other code, which builds anything.
            raise Unfit("it was written by a joblib older than 0.10. Save it again with a newer one")
        return Wary(str(path), stream, ensure_native_byte_order=True).load()


def _code(folder: Path) -> Any:
    """The own modules in their place, where there are any."""
    from contextlib import nullcontext

    from pilothouse.ops.runtimes.code import OwnCode

    archive = folder / CODE
    return OwnCode(archive.read_bytes(), CODE).in_place() if archive.exists() else nullcontext()


def allowed(module: str, name: str, find: Callable[[], Any], own: frozenset[str] = frozenset()) -> Any:
    """What `find` finds as `name` in `module`, if a pickle may have it. Raises Unfit."""
    full = f"{module}.{name}"
    refused = Unfit(
        f"it needs {full[:100]}, which is not built out of a pickle. Give the model as a skops file instead"
    )
    if "." in name or (module == "builtins" and name not in _PLAIN):
        raise refused
    if module == "builtins" or full in _BY_NAME:
        return find()
    ours = module.partition(".")[0] in own
    if not ours and not f"{module}.".startswith(_LIBRARIES):
        raise refused
    found = find()
    if name.startswith(_CYTHON) and module.startswith("sklearn."):
        return found
    import numpy as np

    # A class that a module has only imported is none of its own: it may be anything.
    home = f"{getattr(found, '__module__', '')}."
    if isinstance(found, np.ufunc) or (isinstance(found, type) and (ours or home.startswith(_LIBRARIES))):
        return found
    raise refused


if __name__ == "__main__":
    main(Path(sys.argv[1]))
