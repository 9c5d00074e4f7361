"""What a person does in the demo, in a real browser, while an application sends requests all the time."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from tests.support.running import Running, Steady, running

from pilothouse.app.house import House

pytestmark = pytest.mark.browser

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
PAGES = ("", "model", "releases", "retrain")
SETTLED = """() => {
  const app = document.querySelector('[data-testid=stApp]');
  const quiet = app && app.dataset.testConnectionState === 'CONNECTED' && app.dataset.testScriptState === 'notRunning'
    && document.querySelector('[data-testid=stMain] [data-testid=stElementContainer]')
    && !document.querySelector('[data-testid=stSkeleton],[data-stale=true]');
  window.__since = quiet ? (window.__since || performance.now()) : 0;
  return quiet && performance.now() - window.__since > 400;
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS, headless=True)
        yield opened
        opened.close()


def settle(page: Page) -> None:
    page.wait_for_function(SETTLED, timeout=60_000)


def open_page(page: Page, url: str) -> None:
    page.goto(url)
    settle(page)
    expect(page.get_by_test_id("stException")).to_have_count(0)


def visit(page: Page, name: str) -> None:
    """By the sidebar, as a person goes."""
    page.get_by_test_id("stSidebarNav").get_by_text(name, exact=True).click()
    settle(page)


def pictures(page: Page, base: str, folder: Path, scheme: str) -> None:
    for name in PAGES:
        open_page(page, f"{base}/{name}")
        page.screenshot(path=folder / f"{name or 'fleet'}_{scheme}.png", full_page=True)


@pytest.fixture
def picture_folder(tmp_path: Path) -> Path:
    """Where screenshots go: PICTURES, for somebody to look at, or a folder of the test's own."""
    folder = Path(os.environ.get("PICTURES", tmp_path / "pictures"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_the_whole_loop(demo: Path, browser: Browser, picture_folder: Path) -> None:
    with running(["demo", "--workspace", str(demo), "--rate", "20"]) as house_runs:
        example = httpx.get(f"{house_runs.service}/models/flights", trust_env=False).json()["example"]
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        elsewhere: list[str] = []
        page.on("request", lambda r: elsewhere.append(r.url) if leaves(r.url) else None)
        with Steady(house_runs.service, example) as client:
            see_what_is_wrong(page, house_runs)
            retrain_and_read(page)
            promote(page)
            wait_for_answers(client, 2)
            roll_back(page)
            wait_for_answers(client, 1)
            pictures(page, house_runs.dashboard, picture_folder, "light")
        check_the_record(demo, client)
        dark = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme="dark")
        pictures(dark, house_runs.dashboard, picture_folder, "dark")
        assert elsewhere == []


def leaves(url: str) -> bool:
    return urlsplit(url).scheme in ("http", "https", "ws", "wss") and urlsplit(url).hostname != "127.0.0.1"


def see_what_is_wrong(page: Page, house_runs: Running) -> None:
    open_page(page, house_runs.dashboard)
    expect(page.get_by_text("1 model needs you")).to_be_visible()
    expect(
        page.get_by_text(re.compile(r"ROC AUC 0\.\d+ over the last 28 days, 0\.\d+ below its best")).first
    ).to_be_visible()
    page.get_by_text("Why: look at the model").click()
    settle(page)
    expect(page.get_by_text("Mostly, but keep an eye on it")).to_be_visible()
    expect(page.get_by_text("ROC AUC by week")).to_be_visible()


def retrain_and_read(page: Page) -> None:
    visit(page, "Retrain")
    page.get_by_role("button", name="Start retraining").click()
    expect(page.get_by_text("A run is under way")).to_be_visible(timeout=20_000)
    page.reload()
    settle_live(page)
    expect(page.get_by_text(re.compile("extract", re.I)).first).to_be_visible()
    expect(page.get_by_text(re.compile("The last run made version 2"))).to_be_visible(timeout=120_000)
    page.get_by_text("Go to Releases").click()
    settle(page)
    expect(page.get_by_text("Version 2 is the challenger: the gate says promote").first).to_be_visible()


def settle_live(page: Page) -> None:
    """A page with a fragment that ticks is never still for long: it is enough that its main part stands."""
    page.wait_for_selector("[data-testid=stMain] [data-testid=stElementContainer]", timeout=60_000)


def promote(page: Page) -> None:
    page.get_by_role("button", name="Promote version 2").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("gains on the same untouched rows")
    dialog.get_by_label("Reason").press("Tab")
    confirm = dialog.get_by_role("button", name="Promote version 2")
    expect(confirm).to_be_enabled(timeout=10_000)
    confirm.click()
    expect(page.get_by_text("Version 2 is the champion of flights since")).to_be_visible(timeout=40_000)


def roll_back(page: Page) -> None:
    page.get_by_role("button", name="Roll back to version 1").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("a drill")
    dialog.get_by_label("Reason").press("Tab")
    dialog.get_by_role("button", name="Roll back to version 1").click()
    expect(page.get_by_text("Version 1 is the champion of flights since")).to_be_visible(timeout=40_000)


def wait_for_answers(client: Steady, version: int) -> None:
    before, deadline = client.versions.get(version, 0), time.monotonic() + 20
    while client.versions.get(version, 0) < before + 20:
        assert time.monotonic() < deadline, f"version {version} does not answer: {client.versions}"
        time.sleep(0.1)


def check_the_record(workspace: Path, client: Steady) -> None:
    """No request failed, every worker switched within a second of each flip, and each act has its audit row."""
    assert client.failed == []
    house = House.open(workspace)
    flights = house["flights"]
    rolled, promoted = flights.deployments[:2]
    figures: dict[str, Any] = {"sent": client.sent, "by version": client.versions}
    for deployment in (promoted, rolled):
        proof = flights.switch_proof(deployment.seq)
        assert len(proof) == house.settings.service_workers
        assert all(0 <= switch.ms_after_flip < 1000 for switch in proof)
        click_ms = (deployment.at - deployment.clicked_at).total_seconds() * 1000
        figures[deployment.act] = f"click to flip {click_ms:.0f} ms, workers after it " + ", ".join(
            f"{switch.ms_after_flip:.0f} ms" for switch in proof
        )
    print(figures)
    acts = [row.act for row in house.audit("flights")]
    assert acts[:4] == ["rollback", "promote", "register", "retrain"]
    assert house.verify_audit() is None
    reasons = [row.details.get("reason") for row in house.audit("flights")[:2]]
    assert reasons == ["a drill", "gains on the same untouched rows"]
    house.close()
