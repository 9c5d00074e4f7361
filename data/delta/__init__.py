"""Delta tables as Pilothouse uses them: appended to exactly once, durable on return, and checked before they are read.

`folder.py` is the table, `files.py` writes its data files, `journal.py` guards its log, `checks.py` tells what stands on
disk from what was written, `quarantine.py` remembers what was found damaged, `merging.py` keeps a table small, `newest.py`
has readers share what they open.
"""

from pilothouse.data.delta.checks import Damage, unchecked
from pilothouse.data.delta.folder import DeltaFolder
from pilothouse.data.delta.journal import KEPT_HOURS, REOPEN_EVERY
from pilothouse.data.delta.merging import exchange, fitted, purge, rows_in, verify_table
from pilothouse.data.delta.newest import newest
from pilothouse.data.delta.quarantine import damages, forget

__all__ = [
    "KEPT_HOURS",
    "REOPEN_EVERY",
    "Damage",
    "DeltaFolder",
    "damages",
    "exchange",
    "fitted",
    "forget",
    "newest",
    "purge",
    "rows_in",
    "unchecked",
    "verify_table",
]
