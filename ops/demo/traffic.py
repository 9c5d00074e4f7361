"""The demo's application: sends the flights that followed the standpoint over HTTP, as of now, and labels after them.

`python -m pilothouse.ops.demo.traffic --workspace DIR --service URL --rate N`. Each flight is sent once: where it
stands is kept beside the workspace's note, and ids are the flights' own, so that a retry is no second flight.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections import deque
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import polars as pl

from pilothouse.data.demo import flights
from pilothouse.data.store import write_durably
from pilothouse.data.windows import utc_now
from pilothouse.data.workspace import Workspace
from pilothouse.ops.demo.build import MODEL
from pilothouse.ops.house import DEMO_FILE

POSITION_FILE = "demo-traffic.json"
LABEL_AFTER_S = 5.0
_SAVE_EVERY = 20
_RETRY_AFTER_S = 1.0


class Traffic:
    """Sends one flight after the other, and each label `LABEL_AFTER_S` seconds after its flight."""

    def __init__(self, root: Path, service: str, following: pl.DataFrame) -> None:
        self.position_file = root / POSITION_FILE
        self.client = httpx.Client(base_url=service, timeout=10.0, trust_env=False)
        self.following = following
        self.sent = self._saved_position()
        self.due: deque[tuple[float, dict[str, Any]]] = deque()
        self.stopping = False

    def _saved_position(self) -> int:
        if not self.position_file.exists():
            return 0
        position: int = json.loads(self.position_file.read_text())["sent"]
        return position

    def run(self, rate: float) -> None:
        """Send until told to stop or all flights of the year are sent; then keep still."""
        next_at = time.monotonic()
        for row in self.following.slice(self.sent).iter_rows(named=True):
            if self.stopping:
                break
            self._send_flight(row)
            self._send_labels(time.monotonic() - LABEL_AFTER_S)
            next_at = max(next_at + 1 / rate, time.monotonic() - 1.0)
            self._wait_until(next_at)
        while self.due and not self.stopping:
            self._wait_until(self.due[0][0] + LABEL_AFTER_S)
            self._send_labels(time.monotonic() - LABEL_AFTER_S)
        self._finish()

    def _finish(self) -> None:
        self._send_labels(time.monotonic())
        self._save()
        while not self.stopping:
            time.sleep(0.2)

    def _send_flight(self, row: dict[str, Any]) -> None:
        features = {name: row[name] for name in flights.FEATURES}
        body = {"rows": [features], "ids": [row["flight_id"]], "entities": [row["flight_id"]]}
        self._post(f"/models/{MODEL}/predict", body)
        if row["late"] is not None:
            self.due.append((time.monotonic(), {"id": row["flight_id"], "label": row["late"]}))
        self.sent += 1
        if self.sent % _SAVE_EVERY == 0:
            self._save()

    def _send_labels(self, sent_before: float) -> None:
        ready = []
        while self.due and self.due[0][0] <= sent_before:
            ready.append(self.due.popleft()[1])
        if ready:
            self._post(f"/models/{MODEL}/feedback", {"labels": ready})

    def _post(self, path: str, body: dict[str, Any]) -> None:
        """Post until it is taken: a service that restarts costs patience, not flights. A refusal ends the program."""
        while True:
            try:
                answer = self.client.post(path, json=body)
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code < 300:
                return
            if answer is not None and answer.status_code not in (429, 503):
                sys.exit(f"{path} was refused with {answer.status_code}: {answer.text}")
            if self.stopping:
                return
            time.sleep(_RETRY_AFTER_S)

    def _wait_until(self, moment: float) -> None:
        while not self.stopping and (left := moment - time.monotonic()) > 0:
            time.sleep(min(left, 0.2))

    def _save(self) -> None:
        write_durably(self.position_file, json.dumps({"sent": self.sent, "at": utc_now().isoformat()}).encode())


def flights_after(until: datetime) -> pl.DataFrame:
    """The flights scheduled from `until` on, in their order."""
    return flights.load_flights().filter(pl.col("at") + flights.ASKED_BEFORE >= until)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--service", required=True)
    parser.add_argument("--rate", type=float, default=5.0, help="flights a second")
    arguments = parser.parse_args()
    workspace = Workspace.open(arguments.workspace)
    note = json.loads((workspace.root / DEMO_FILE).read_text())
    following = flights_after(datetime.fromisoformat(note["until"]))
    traffic = Traffic(workspace.root, arguments.service, following)

    def stop(_signal: int, _frame: object) -> None:
        traffic.stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    traffic.run(arguments.rate)


if __name__ == "__main__":
    main()
