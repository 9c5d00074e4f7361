"""Somebody brings a log of her own to the dashboard: the file, one correction, the import, and the model's page."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, TimeoutError, expect, sync_playwright
from tests.browser.test_a_person import ARGUMENTS, CHROMIUM, open_page, settle
from tests.support.foreign_log import ForeignLog, nasty_log
from tests.support.running import running

from pilothouse.app.house import House
from pilothouse.data.signature import Kind
from pilothouse.data.workspace import Workspace

pytestmark = pytest.mark.browser
ROW_HEIGHT = 31.1
CLICKS = 4
"""How often a person clicks before she gives up."""
SIZE = "Größe"
SCHEMES: tuple[Literal["dark", "light"], ...] = ("dark", "light")
TABLES = ("Columns", "Columns of the labels")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS, headless=True)
        yield opened
        opened.close()


def test_from_a_file_of_somebody_elses_to_the_models_page(tmp_path: Path, browser: Browser) -> None:
    folder = Path(os.environ.get("PICTURES", tmp_path / "pictures"))
    folder.mkdir(parents=True, exist_ok=True)
    planted = nasty_log()
    files = planted.write(tmp_path)
    workspace = Workspace.create(tmp_path / "house").root
    with running(["up", "--workspace", str(workspace)]) as house_runs:
        page = browser.new_page(viewport={"width": 1440, "height": 1400})

        def picture(name: str) -> None:
            for scheme in SCHEMES:
                page.emulate_media(color_scheme=scheme)
                page.screenshot(path=folder / f"import_{name}_{scheme}.png", full_page=True)

        open_page(page, f"{house_runs.dashboard}/intake")
        picture("empty")
        give_files(page, files)
        picture("mapping")
        correct(page, "Columns", row=4, to="context")
        expect(page.get_by_role("row", name="Größe feature, number context, number")).to_be_visible()
        correct(page, "Columns of the labels", row=1, to="ignored")
        expect(page.get_by_text("No column of ergebnisse.csv looks like the label")).to_be_visible()
        correct(page, "Columns of the labels", row=1, to="label")
        choose_zone(page, "Europe/Berlin")
        expect(page.get_by_text("06.01.2026 07:00 is read as 2026-01-06 06:00:00 UTC", exact=True)).to_be_visible()
        picture("corrected")
        page.get_by_role("button", name="Import 902 rows into delays").click()
        page.wait_for_timeout(700)
        picture("progress")
        expect(page.get_by_text(f"{planted.good} imported into delays")).to_be_visible(timeout=120_000)
        settle(page)
        picture("result")
        page.get_by_role("button", name="Go to delays").click()
        settle(page)
        expect(page.get_by_text(re.compile(r"Data to 1\d Feb 2026")).first).to_be_visible()
        picture("model")
        page.close()
    check(workspace, planted)


def give_files(page: Page, files: tuple[Path, Path]) -> None:
    for place, file in enumerate(files):
        page.locator("input[type=file]").nth(place).set_input_files(file)
        expect(page.get_by_text(file.name)).to_be_visible()
        settle(page)
    page.get_by_label("Model", exact=True).last.fill("delays")
    page.keyboard.press("Enter")
    settle(page)
    page.get_by_role("button", name="Look at the file").click()
    expect(page.get_by_text("893 can be imported and 9 would be set aside")).to_be_visible(timeout=60_000)
    settle(page)


def correct(page: Page, title: str, *, row: int, to: str) -> None:
    """Write into the second cell of a row of a mapping, as a person does: it is drawn on a canvas."""
    table = page.get_by_test_id("stDataFrame").nth(TABLES.index(title))
    expect(table.get_by_role("columnheader", name="is our", include_hidden=True)).to_be_attached()
    table.scroll_into_view_if_needed()
    changed = page.get_by_role("button", name="Read again")
    for _ in range(CLICKS):
        box = table.bounding_box()
        assert box is not None
        page.mouse.click(box["x"] + box["width"] * 0.3, box["y"] + ROW_HEIGHT * (row + 1.5))
        # A canvas does not tell when it has taken a click; what is typed before that is lost.
        page.wait_for_timeout(500)
        page.keyboard.type(to, delay=30)
        page.keyboard.press("Enter")
        try:
            changed.wait_for(state="visible", timeout=5_000)
            break
        except TimeoutError:
            page.keyboard.press("Escape")
    read_again(page)


def choose_zone(page: Page, zone: str) -> None:
    box = page.get_by_role("combobox", name="Time zone")
    box.click()
    box.fill(zone)
    box.press("Enter")
    read_again(page)


def read_again(page: Page) -> None:
    page.get_by_role("button", name="Read again").click()
    expect(page.get_by_role("button", name="Read again")).to_have_count(0, timeout=60_000)
    settle(page)


def check(workspace: Path, planted: ForeignLog) -> None:
    house = House.open(workspace)
    delays = house["delays"]
    assert delays.prediction_log.count() == planted.good
    assert [(c.name, c.kind) for c in delays.signature.context] == [(SIZE, Kind.NUMBER)]
    first, _ = delays.prediction_log.bounds() or (None, None)
    assert first == datetime(2026, 1, 4, 23, tzinfo=UTC)
    house.close()
