"""Tables of the command line: what a narrow terminal may fold, and what it may not; and where a file may be written."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from pilothouse.app.cli.options import place_to_write, print_table

HEAD = ("feature", "effect", "95 % band", "note", "why")
ROWS = [
    ("departure_minute", 0.25, "−0.010 to +0.020", None, "a sentence that is longer than the terminal has room for"),
    ("origin", 12_345.0, "+0.100 to +0.200", None, "short"),
]


def printed(capsys: pytest.CaptureFixture[str], rows: list[tuple[object, ...]]) -> str:
    print_table("Features", HEAD, rows)
    return capsys.readouterr().out


def test_a_narrow_terminal_folds_prose_and_no_number_or_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "70")
    said = printed(capsys, ROWS)
    assert max(map(len, said.splitlines())) <= 70
    assert all(whole in said for whole in ("departure_minute", "−0.010 to +0.020", "12,345.000"))
    monkeypatch.setenv("COLUMNS", "20")
    assert "departure_minute       0.250  −0.010 to +0.020  " in printed(capsys, ROWS)


def test_a_pipe_gets_whole_lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    title, head, first, second = printed(capsys, ROWS).splitlines()
    assert title == "Features"
    assert first.rstrip().endswith(str(ROWS[0][-1]))
    assert head.index("effect") + len("effect") == second.index("12,345.000") + len("12,345.000")


def test_what_says_nothing_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert "note" not in printed(capsys, ROWS)
    assert printed(capsys, []).split() == ["Features", "none"]


def test_a_file_is_refused_before_the_work(tmp_path: Path) -> None:
    assert place_to_write(tmp_path / "report.html") == tmp_path / "report.html"
    for wrong, fault in ((tmp_path, "is a folder"), (tmp_path / "none" / "r.html", "There is no folder")):
        with pytest.raises(typer.BadParameter, match=fault):
            place_to_write(wrong)
