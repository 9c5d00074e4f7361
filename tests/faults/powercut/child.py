"""A Life on the recording disk: `python -m tests.faults.powercut.child WORKSPACE ROUNDS`."""

from __future__ import annotations

import sys

from pilothouse.data.workspace import Workspace
from tests.faults.life import Life
from tests.faults.powercut.shim import Disk

if __name__ == "__main__":
    life = Life(workspace=Workspace.open(sys.argv[1]), name="life", acknowledge=Disk().mark)
    for _, step in life.steps(int(sys.argv[2])):
        step()
