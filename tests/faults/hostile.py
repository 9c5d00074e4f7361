"""Requests that schemathesis makes of the service's own description, valid ones and broken ones, with all its checks on."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from pilothouse.data.state.keys import SCOPES
from pilothouse.ops.house import House
from tests.faults.campaign import Outcome
from tests.support.processes import running_service
from tests.support.small import MODEL, planted

PHASES = {"small": "examples,fuzzing", "full": "examples,coverage,fuzzing"}
EXAMPLES = {"small": 5, "full": 60}
"""Fuzzing's requests to each operation."""
_ROOT = Path(__file__).resolve().parents[2]
_SETTINGS = 'onnx = "never"\nrequire_keys = "yes"\nservice_workers = 1\n'
ANSWERED = "HOSTILE_ANSWERED"
"""Names the file to which the ids of answered rows are written, for whoever asks."""
_COUNTED = re.compile(r'^pilothouse_requests_total\{model="[^"]*",route="([^"]*)",status="(\d+)"\} (\S+)$', re.M)
_OPEN = {"/livez", "/readyz", "/ping", "/v2/health/live", "/v2/health/ready"}
_OURS = {"/metrics", "/openapi.json"}


def run(size: str) -> list[Outcome]:
    """With a key that opens everything, and without any. `wrong` : findings; without a key, answers that needed one too."""
    with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
        house = make_model(Path(folder) / "workspace")
        key = house.keys.create("hostile", ["predict:*", *SCOPES]).text
        with running_service(house) as url:
            hostile = Hostile(url, key, Path(folder), size)
            tried = [hostile.campaign(with_key=with_key) for with_key in (True, False)]
        assert hostile.acknowledged(tried[0].name), "no answer was noted, so none could be missed"
        house.catch_up()
        found = Counter(house[MODEL].prediction_log.labelled(columns=("prediction_id",))["prediction_id"])
        return [_counted(outcome, hostile.acknowledged(outcome.name), found) for outcome in tried]


def _counted(outcome: Outcome, acknowledged: set[str], found: Counter[str]) -> Outcome:
    """`outcome` with what is in the log of the ids that were answered."""
    doubled = sum(found[i] - 1 for i in acknowledged if found[i] > 1)
    return replace(outcome, lost=len(acknowledged - found.keys()), doubled=doubled)


def make_model(folder: Path) -> House:
    """A workspace with a model that copes with missing values, as its description says of every feature."""
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    from pilothouse.data.workspace import Workspace

    train = planted(1000, seed=1)
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["purpose"]),
        (make_pipeline(SimpleImputer(), StandardScaler()), ["amount", "months"]),
    )
    features = train.drop("failed").to_pandas().astype({"purpose": object})
    model = make_pipeline(columns, LogisticRegression()).fit(features, train["failed"].to_numpy())
    workspace = Workspace.create(folder)
    workspace.settings_file.write_text(_SETTINGS)
    house = House.open(workspace.root)
    house.register(MODEL, model, reference=planted(500, seed=2), target="failed", trusted=("numpy.dtype",))
    return house


@dataclass(frozen=True, slots=True)
class Hostile:
    """A service under schemathesis. key : opens everything."""

    url: str
    key: str
    folder: Path
    size: str

    def campaign(self, *, with_key: bool) -> Outcome:
        name = f"hostile requests {'with' if with_key else 'without'} a key"
        before = self._answered()
        findings = self._findings(name, with_key=with_key)
        answered = self._answered() - before
        asked = Counter({at: n for at, n in answered.items() if at[0] not in _OURS or at[1] != "200"})
        let_in = sum(n for (route, status), n in asked.items() if status < "400" and route not in _OPEN)
        wrong = findings if with_key else findings + let_in
        return Outcome(name=name, tried=asked.total(), lost=0, doubled=0, wrong=wrong)

    def acknowledged(self, name: str) -> set[str]:
        """The ids of all rows that were answered in the campaign called `name`."""
        told = self._told(name)
        return set(json.loads(f"[{','.join(told.read_text().splitlines())}]")) if told.exists() else set()

    def _told(self, name: str) -> Path:
        return self.folder / f"{name}.jsonl"

    def _answered(self) -> Counter[tuple[str, str]]:
        """How many requests the service has answered, by route and status."""
        text = self._get("/metrics").text
        return Counter({(route, status): int(float(count)) for route, status, count in _found(text)})

    def _get(self, path: str) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.key}"}
        return httpx.get(self.url + path, headers=headers, trust_env=False).raise_for_status()

    def _findings(self, name: str, *, with_key: bool) -> int:
        description, report = self.folder / "openapi.json", self.folder / "report.json"
        description.write_text(self._get("/openapi.json").text)
        command = [
            sys.executable, "-m", "schemathesis.cli", "run", str(description), "--url", self.url, "--checks", "all",
            "--phases", PHASES[self.size], "--max-examples", str(EXAMPLES[self.size]), "--seed", "0", "--warnings", "off",
            "--continue-on-failure", "--suppress-health-check", "all", "--report-json-path", str(report), "--report", "json",
            *(("--header", f"Authorization: Bearer {self.key}") if with_key else ()),
        ]  # fmt: skip
        environment = {
            **os.environ, "SCHEMATHESIS_HOOKS": "tests.faults.hostile_hooks", "NO_COLOR": "1", "PYTHONPATH": str(_ROOT),
            ANSWERED: str(self._told(name)),
        }  # fmt: skip
        # It leaves files of its own where it runs.
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        told = json.loads(report.read_text())
        found = int(told["test_cases"]["unique_failures"]) + len(told["errors"])
        if found or not told["complete"]:
            print(done.stdout, done.stderr)
        return found + (0 if told["complete"] else 1)


def _found(text: str) -> list[tuple[str, str, str]]:
    return _COUNTED.findall(text)
