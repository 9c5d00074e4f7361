"""The Releases page makes a package and offers it."""

from __future__ import annotations

from pathlib import Path

from tests.support.dashboard import dashboard_of, open_page
from tests.support.small import MODEL, make_small


def test_the_champion_is_packaged_and_offered(tmp_path: Path) -> None:
    house = make_small(tmp_path / "ws")
    with dashboard_of(house.workspace.root):
        app = open_page("releases", model=MODEL)
        app.button(key="package").click().run()
    assert not app.exception
    (offered,) = app.get("download_button")
    assert offered.proto.label == "Download loans-1.bento"
    assert house.audit(MODEL)[0].act == "package"
    house.close()
