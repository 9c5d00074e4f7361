"""Packaging: one model or several as a Bento that serves alone, with our own wheel and everything that it needs inside."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.metadata import distributions
from pathlib import Path
from tempfile import TemporaryDirectory

from pilothouse.data.errors import AlreadyExists, BadData
from pilothouse.data.state import audit
from pilothouse.ops.actors import Right, require
from pilothouse.ops.deploy.build import DOCKERFILE, REQUIREMENTS
from pilothouse.ops.deploy.contents import Packed, PackedModel, packed_model
from pilothouse.ops.deploy.pins import leans_on, pinned
from pilothouse.ops.deploy.plan import HOUSE, SERVICE, SERVICE_FILE, Plan
from pilothouse.ops.deploy.wheels import write_wheel
from pilothouse.ops.house import House
from pilothouse.ops.releases.switch import champion_version

ACT = "package"
_OURS = (("pilothouse", "pilothouse"), ("pilothouse-client", "pilothouse_client"))
_CARRIED = ("time_zone", "dedup_days", "hours_kept_days", "max_rows")
"""Settings that the figures or the answers rest on."""
_LAST_WORDS = 600
_LONGEST = 63
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A Bento that was made. file : holds all of it. tag : its name and version in BentoML. models : what answers in it."""

    file: Path
    tag: str
    models: tuple[str, ...]

    @property
    def sentence(self) -> str:
        size = self.file.stat().st_size / 2**20
        return f"{self.file} ({size:.1f} MB) serves {', '.join(self.models)} alone, as the Bento {self.tag}."


def package(
    house: House,
    names: Sequence[str],
    out: Path | str,
    *,
    version: int | None = None,
    tell: Tell = lambda step: None,
) -> Package:
    """Make a Bento of the models `names` in the folder `out`: NAME-VERSION.bento.

    version : of a single model; None for its champion, as for each of several. tell : takes each step.
    Raises UnknownModel, UnknownVersion, NoChampion, NotServedHere, BadArtifact, AlreadyExists when the file is there,
    BadData for no or doubled names, or when BentoML cannot build it, and NotAllowed.
    """
    _check_names(names, version)
    for name in names:
        require(house.state, house.actor, Right.OPERATOR, "package", name, house.clock)
    chosen = [_chosen(house, name, version) for name in names]
    bento = bento_name(names)
    number = "-".join(str(packed.version.version) for packed in chosen)
    file = Path(out) / f"{bento}-{number}.bento"
    if file.exists():
        raise AlreadyExists(str(file), "Name another folder, or delete it first.")
    file.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="pilothouse-package-") as scratch:
        plan = _staged(house, chosen, Path(scratch), (bento, number), tell)
        tell("BentoML builds it")
        _build(plan)
        _put(Path(plan.out), file)
    made = Package(file=file, tag=f"{bento}:{number}", models=tuple(packed.tag for packed in chosen))
    _audit(house, chosen, made)
    return made


def bento_name(names: Sequence[str]) -> str:
    """What a Bento of these models is called: BentoML takes no name that ends in `-` or `_`, nor a long one.

    >>> bento_name(["flights"]), bento_name(["flights", "loans_"])
    ('flights', 'flights-loans')
    """
    return "-".join(names)[:_LONGEST].rstrip("-_")


def _check_names(names: Sequence[str], version: int | None) -> None:
    if not names or len(set(names)) < len(names):
        raise BadData(f"A package holds models, each once; got: {', '.join(names) or 'none'}. Name them.")
    if version is not None and len(names) > 1:
        raise BadData("A version can be chosen for one model alone; of several, the champions are packaged.")


def _chosen(house: House, name: str, version: int | None) -> PackedModel:
    return packed_model(house[name], champion_version(house.state, name) if version is None else version)


def _staged(house: House, chosen: Sequence[PackedModel], scratch: Path, tag: tuple[str, str], tell: Tell) -> Plan:
    """Everything that the Bento is made of, in a folder in `scratch`."""
    context = scratch / "context"
    (context / "wheels").mkdir(parents=True)
    tell("models, references and policies are copied")
    settings = {name: str(getattr(house.settings, name)) for name in _CARRIED}
    Packed(models=tuple(chosen), settings=settings).write(context / HOUSE, house.workspace)
    tell("the wheel is made of what is installed")
    wheels = [write_wheel(name, module, context / "wheels") for name, module in _distributions()]
    artifacts = [house.store.read(packed.version.artifact) for packed in chosen]
    needed = [leans_on(packed.version, artifact) for packed, artifact in zip(chosen, artifacts, strict=True)]
    libraries = {name for names in needed for name in names}
    pins = pinned("pilothouse", besides=libraries, without=[name for name, _ in _distributions()])
    (context / REQUIREMENTS).write_text("\n".join(pins) + "\n")
    (context / SERVICE_FILE).write_text(SERVICE)
    (context / DOCKERFILE).write_text(resources.files(__package__).joinpath(DOCKERFILE).read_text())
    return Plan(
        name=tag[0], version=tag[1], context=str(context), home=str(scratch / "bentoml"),
        out=str(scratch / "made.bento"), image=_image(libraries),
        description=_description(chosen), wheels=tuple(f"wheels/{wheel.name}" for wheel in wheels),
    )  # fmt: skip


def _image(libraries: Collection[str]) -> str:
    """An image of this Python. LightGBM's wheel leans on a library of the system that the slim one lacks."""
    python = ".".join(platform.python_version_tuple()[:2])
    return f"python:{python}" if "lightgbm" in libraries else f"python:{python}-slim"


def _distributions() -> list[tuple[str, str]]:
    """Ours, with the package that each holds. The client sends the log on to a central house."""
    known = {found.name for found in distributions()}
    return [(name, module) for name, module in _OURS if name in known]


def _description(chosen: Sequence[PackedModel]) -> str:
    return f"Serves {', '.join(packed.tag for packed in chosen)}, with a prediction log of its own. Made by Pilothouse."


def _build(plan: Plan) -> None:
    """Raises BadData with BentoML's last words when it cannot build."""
    command = [sys.executable, "-m", "pilothouse.ops.deploy.build"]
    # BentoML reads no file outside of the folder that it runs in.
    ended = subprocess.run(command, input=plan.encode(), capture_output=True, cwd=plan.context, check=False)
    if ended.returncode or not Path(plan.out).is_file():
        words = ended.stderr.decode(errors="replace").strip()[-_LAST_WORDS:]
        raise BadData(f"BentoML could not build the package. Its last words: {words}")


def _put(made: Path, file: Path) -> None:
    """All of it under its name, or nothing."""
    part = file.with_name(f".{file.name}.part")
    shutil.copyfile(made, part)
    os.replace(part, file)


def _audit(house: House, chosen: Sequence[PackedModel], made: Package) -> None:
    with house.state.write() as conn:
        for packed in chosen:
            details = {"version": packed.version.version, "bento": made.tag, "file": made.file.name}
            audit.append(
                conn, actor=house.actor.name, act=ACT, target=packed.model.name, details=details, at=house.clock()
            )  # fmt: skip
