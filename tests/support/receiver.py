"""A stand-in for the service, to see what the client sends. It runs on every Python that the client runs on."""

from __future__ import annotations

import json
from typing import Any

import httpx


class Receiver:
    """Takes what comes, and refuses what it is told to.

    rows, labels : what was taken, in order. answers : status codes for the next requests; after them 202.
    """

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers)
        self.bodies: list[dict[str, Any]] = []
        self.rows: list[dict[str, Any]] = []
        self.labels: list[dict[str, Any]] = []
        self.most_rows = 10_000
        self.headers: httpx.Headers = httpx.Headers()

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self.answer)

    @property
    def ids(self) -> list[str]:
        return [row["id"] for row in self.rows]

    def answer(self, request: httpx.Request) -> httpx.Response:
        status = self.answers.pop(0) if self.answers else 202
        self.headers = request.headers
        if status == 0:
            raise httpx.ConnectError("connection refused")
        if status != 202:
            return httpx.Response(status, json={"detail": "not now"}, headers={"retry-after": "0"})
        body = json.loads(request.content)
        self.bodies.append(body)
        if request.url.path.endswith("/feedback"):
            self.labels += body["labels"]
            return httpx.Response(202, json={"accepted": len(body["labels"])})
        return self._take(body)

    def _take(self, body: dict[str, Any]) -> httpx.Response:
        if len(body["rows"]) > self.most_rows:
            return httpx.Response(413, json={"detail": "too large"})
        bad = [place for place, row in enumerate(body["rows"]) if "bad" in row]
        if bad:
            faults = [{"pointer": f"/rows/{place}/bad", "detail": "is not a field here"} for place in bad]
            return httpx.Response(422, json={"detail": "bad rows", "faults": faults})
        names = {"ids": "id", "predictions": "prediction", "scores": "score", "at": "at", "keys": "key"}
        names["latency_us"] = "latency_us"
        for place, features in enumerate(body["rows"]):
            self.rows.append({"features": features} | {n: body[c][place] for c, n in names.items() if c in body})
        return httpx.Response(202, json={"accepted": len(body["rows"])})
