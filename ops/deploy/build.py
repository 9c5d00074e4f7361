"""Builds a Bento in a process of its own: `python -m pilothouse.ops.deploy.build`, with a Plan as JSON on stdin.

BentoML reads its folder from the environment when it is imported, and keeps it for the life of the process.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec

from pilothouse.ops.deploy.plan import SERVICE_FILE, Plan

REQUIREMENTS = "requirements.txt"
DOCKERFILE = "Dockerfile.j2"


def main() -> int:
    """Build and export what the plan on stdin asks for."""
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    os.environ |= {"BENTOML_HOME": plan.home, "BENTOML_DO_NOT_TRACK": "True"}
    import bentoml

    tag = f"{plan.name}:{plan.version}"
    bentoml.bentos.build(
        f"{Path(SERVICE_FILE).stem}:Pilothouse",
        name=plan.name,
        version=plan.version,
        description=plan.description,
        build_ctx=plan.context,
        include=["*"],
        exclude=[REQUIREMENTS, DOCKERFILE, "wheels/", "__pycache__/", "*.pyc"],
        # One tag says where a Bento comes from; its libraries are pinned already, so nothing is to be resolved.
        labels={"made_by": "pilothouse"},
        python={"requirements_txt": REQUIREMENTS, "lock_packages": False, "wheels": list(plan.wheels)},
        docker={"base_image": plan.image, "dockerfile_template": DOCKERFILE},
    )
    bentoml.bentos.export_bento(tag, plan.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
