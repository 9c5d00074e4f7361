"""The theme file, our names for colours, and the private tokens of Streamlit that join the two."""

import tomllib
from pathlib import Path

from streamlit.elements.lib import streamlit_plotly_theme as private

from pilothouse.app import theme
from pilothouse.app.theme import CATEGORICAL, DARK, LIGHT, SEQUENTIAL, STREAMLIT, Colour, paint

APP = Path(theme.__file__).resolve().parent
CONFIG = tomllib.loads((APP / ".streamlit" / "config.toml").read_text())


def test_the_theme_file_has_the_colours_of_the_palettes():
    for name, palette in (("light", LIGHT), ("dark", DARK)):
        section = CONFIG["theme"][name]
        assert section["chartCategoricalColors"] == [palette[colour] for colour in CATEGORICAL]
        for colour, place in SEQUENTIAL.items():
            assert section["chartSequentialColors"][place] == palette[colour], colour


def test_the_installed_streamlit_still_has_the_tokens():
    for place, colour in enumerate(CATEGORICAL):
        assert STREAMLIT[colour] == getattr(private, f"CATEGORY_{place}")
    for colour, place in SEQUENTIAL.items():
        assert STREAMLIT[colour] == getattr(private, f"SEQUENTIAL_{place}")
    chrome = {Colour.MUTED: "GRAY_70", Colour.INK: "GRAY_90", Colour.SURFACE: "BG_COLOR", Colour.GRID: "FADED_TEXT_05"}
    assert {colour: STREAMLIT[colour] for colour in chrome} == {c: getattr(private, n) for c, n in chrome.items()}


def test_every_colour_has_a_value_everywhere_and_no_two_meanings_share_one():
    for palette in (LIGHT, DARK, STREAMLIT):
        assert set(palette) == set(Colour)
    for palette in (LIGHT, DARK):
        said = [palette[c] for c in Colour if c not in {Colour.INK, Colour.TRUTH}]
        assert len(set(said)) == len(said)


def test_painting_leaves_the_original_alone():
    spec = {"line": {"color": Colour.WATCH}, "names": ["a"], "n": 1}
    assert paint(spec, LIGHT) == {"line": {"color": LIGHT[Colour.WATCH]}, "names": ["a"], "n": 1}
    assert spec["line"]["color"] == Colour.WATCH


def test_fonts_are_shipped_with_their_licences_and_nothing_is_fetched_from_elsewhere():
    for face in CONFIG["theme"]["fontFaces"]:
        assert (APP / "static" / Path(face["url"]).name).read_bytes()[:4] == b"wOF2"
    for name in ("inter", "jetbrains-mono"):
        assert "SIL Open Font License" in (APP / "static" / f"LICENSE-{name}.txt").read_text()
    assert "://" not in theme.CSS_FILE.read_text()
