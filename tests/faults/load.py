"""An application that sends predictions and labels while things die around it, and remembers what was acknowledged."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import httpx

from tests.support.small import MODEL, ROW

THREADS = 4


@dataclass
class Load:
    """Ids are the application's own, and whatever gets no answer is sent again under the same id.

    tries : how often each request was sent that was acknowledged.
    """

    service: str
    name: str
    predicted: set[str] = field(default_factory=set)
    labelled: set[str] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)
    tries: list[int] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def going(self) -> Iterator[Load]:
        threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(THREADS)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            for thread in threads:
                thread.join(60)

    def _run(self, number: int) -> None:
        count = 0
        with httpx.Client(base_url=self.service, timeout=10, trust_env=False) as client:
            while not self._stop.is_set():
                count += 1
                row_id = f"{self.name}-{number}-{count}"
                row = ROW | {"amount": 100.0 * (count % 97)}
                # A label of a prediction that was never taken would wait for it, and look lost.
                if not self._send(client, "predict", {"rows": [row], "ids": [row_id]}):
                    continue
                self._remember(self.predicted, row_id)
                label = {"labels": [{"id": row_id, "label": count % 2}]}
                if count % 2 and self._send(client, "feedback", label):
                    self._remember(self.labelled, row_id)

    def _send(self, client: httpx.Client, act: str, body: object) -> bool:
        """Until it is taken; False when the load ends before that, or it is refused for good."""
        tries = 0
        while not self._stop.is_set():
            tries += 1
            with suppress(httpx.TransportError):
                answer = client.post(f"/models/{MODEL}/{act}", json=body)
                if answer.status_code < 300:
                    self.tries.append(tries)
                    return True
                if answer.status_code != 503:
                    self.refused.append(answer.text)
                    return False
            self._stop.wait(0.05)
        return False

    def _remember(self, where: set[str], row_id: str) -> None:
        with self._lock:
            where.add(row_id)
