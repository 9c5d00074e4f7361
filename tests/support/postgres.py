"""A PostgreSQL server of the tests' own: in a temporary folder, on a free port of the loopback, ended by its pid."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from pilothouse.ops.supervisor import free_port

PASSWORD = "never-to-be-printed"
_WITHIN_S = 30.0


@dataclass
class Postgres:
    """A server over the data in `folder`. `bin`: where its programs are; `user`: who runs them, None for ourselves."""

    folder: Path
    bin: Path
    user: str | None
    port: int = field(default_factory=lambda: free_port(0))
    process: subprocess.Popen[bytes] | None = None

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://pilot:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """The URL of a database with nothing in it."""
        name = f"t{uuid.uuid4().hex[:12]}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')  # type: ignore[call-overload]
        return self.url(name)

    def make(self) -> None:
        password = self.folder / "password"
        password.write_text(PASSWORD)
        if self.user:
            for path in (self.folder, password):
                shutil.chown(path, self.user)
        command = ["initdb", "-U", "pilot", "--auth=scram-sha-256", f"--pwfile={password}", "-D", str(self._data)]
        self._run([str(self.bin / command[0]), *command[1:], "--no-sync", "-E", "UTF8"]).wait(60)

    def start(self) -> None:
        options = {
            "listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": "", "fsync": "off",
            # West of Greenwich, so that whoever leans on the session's zone is found out.
            "timezone": "America/New_York",
        }  # fmt: skip
        settings = [argument for name, value in options.items() for argument in ("-c", f"{name}={value}")]
        self.process = self._run([str(self.bin / "postgres"), "-D", str(self._data), *settings])
        deadline = time.monotonic() + _WITHIN_S
        while not self._answers():
            log = (self.folder / "log").read_text()
            assert self.process.poll() is None, f"PostgreSQL did not start:\n{log}"
            assert time.monotonic() < deadline, f"PostgreSQL does not answer:\n{log}"
            time.sleep(0.05)

    def stop(self) -> None:
        """End it at once, under whoever is connected."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(_WITHIN_S)
            self.process = None

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, command: list[str]) -> subprocess.Popen[bytes]:
        groups: dict[str, object] = {"group": self.user, "extra_groups": []} if self.user else {}
        with open(self.folder / "log", "ab") as log:
            return subprocess.Popen(command, user=self.user, cwd=self.folder, stdout=log, stderr=log, **groups)  # type: ignore[call-overload, no-any-return]


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A server until the block ends. The programs come from the system: `.ci/system-packages` installs them."""
    # Not below pytest's folders: as root the server has to run under another user, who may not look into them.
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        server = Postgres(Path(folder), _programs(), "postgres" if os.getuid() == 0 else None)
        server.make()
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _programs() -> Path:
    """The folder of the newest PostgreSQL on this machine."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    if not found and on_path is None:
        raise AssertionError("PostgreSQL is not installed: run .ci/system-packages, or install 'postgresql'.")
    return (found[-1] if found else Path(str(on_path)).resolve()).parent
