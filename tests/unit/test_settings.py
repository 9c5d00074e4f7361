"""Settings: default < file < environment < argument, and what is not allowed is said with its source."""

from __future__ import annotations

from pathlib import Path

import pytest

from pilothouse.data.errors import InvalidSetting
from pilothouse.data.settings import Settings, load_settings


def written(folder: Path, text: str) -> Path:
    file = folder / "pilothouse.toml"
    file.write_text(text)
    return file


def test_without_a_file_all_defaults_hold(tmp_path: Path) -> None:
    assert load_settings(tmp_path / "pilothouse.toml", environ={}) == Settings()


def test_each_source_overrides_the_one_before(tmp_path: Path) -> None:
    file = written(tmp_path, 'max_rows = 5\nservice_workers = 3\ntime_zone = "Europe/Berlin"\n')
    found = load_settings(file, environ={"PILOTHOUSE_MAX_ROWS": "6", "PILOTHOUSE_SERVICE_WORKERS": "4"}, max_rows=7)
    assert (found.max_rows, found.service_workers, found.time_zone) == (7, 4, "Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_rows = 0", r"max_rows = 0 \(pilothouse.toml\) is not allowed. Allowed: a number above 0"),
        ('durability = "some"', r"durability = 'some' .* Allowed: full, normal, async"),
        ('time_zone = "Mars/Base"', r"Allowed: an IANA zone"),
        ("max_row = 3", r"max_row = 3 .* Allowed: one of .*max_rows"),
        ("max_rows = ", r"Allowed: TOML"),
        ("body_timeout_s = nan", r"Allowed: a number above 0"),
        ("seal_every_s = inf", r"Allowed: a number above 0"),
        ("service_port = 70000", r"Allowed: a port from 1 to 65535"),
        ('max_rows = "many"', r"Allowed: a whole number"),
        ('require_keys = "sometimes"', r"require_keys = 'sometimes' .* Allowed: no, yes"),
        ("caller_share = 1.5", r"Allowed: a share above 0 and up to 1"),
    ],
)
def test_what_is_not_allowed_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InvalidSetting, match=message):
        load_settings(written(tmp_path, text), environ={})


def test_the_variable_is_named_when_it_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="PILOTHOUSE_MAX_ROWS"):
        load_settings(tmp_path / "none", environ={"PILOTHOUSE_MAX_ROWS": "x"})
