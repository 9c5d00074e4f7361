"""A log as somebody else's tool writes it: semicolons, decimal commas, umlauts, days first; and what is planted in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

HEADER = (
    "Vorgangs-ID;Buchungs-Nr;Zeitpunkt;Wind (m/s);Größe;Zahlungsart;Stammkunde;Modell-Version;Score (Modell);Vorhersage"
)
LABEL_HEADER = "Buchungs-Nr;Ergebnis;Beobachtet am"
FIRST = datetime(2026, 1, 5)  # noqa: DTZ001 - their tool writes no zone


@dataclass
class ForeignLog:
    """Lines of both files. good : rows that can be imported. bad : line number and a word of its reason.

    told, unknown : labels, and how many of them belong to no prediction that is imported.
    """

    lines: list[str]
    labels: list[str]
    good: int
    bad: dict[int, str] = field(default_factory=dict)
    told: int = 0
    unknown: int = 0
    mean_wind: float = 0.0

    def write(self, folder: Path) -> tuple[Path, Path]:
        predictions, labels = folder / "export 2026.csv", folder / "ergebnisse.csv"
        predictions.write_text("\n".join(self.lines) + "\n", encoding="cp1252")
        labels.write_text("\n".join(self.labels) + "\n", encoding="utf-8")
        return predictions, labels


def comma(value: float, digits: int = 2) -> str:
    """
    >>> comma(1234.5)
    '1.234,50'
    """
    return f"{value:,.{digits}f}".replace(",", "_").replace(".", ",").replace("_", ".")


def foreign_log(rows: int = 900, seed: int = 1) -> ForeignLog:
    """Clean rows, one an hour; each but every tenth has a label thirty hours later."""
    rng = np.random.default_rng(seed)
    lines, labels, wind_sum = [HEADER], [LABEL_HEADER], 0.0
    for i in range(rows):
        at = FIRST + timedelta(hours=i)
        wind = float(np.round(rng.gamma(2, 3), 2))
        score = 1 / (1 + np.exp(-(wind - 6) / 2))
        late = "spät" if rng.random() < score else "pünktlich"
        said = "spät" if score >= 0.5 else "pünktlich"
        paid, known = rng.choice(["Karte", "Überweisung", "bar"]), rng.choice(["Ja", "Nein"])
        lines.append(
            f"V-{i:06d};{10_000 + i};{at:%d.%m.%Y %H:%M};{comma(wind)};{comma(rng.normal(1700, 200), 1)};{paid};{known};"
            f"v{1 + (i >= rows // 2)};{comma(score, 4)};{said}"
        )
        wind_sum += wind
        if i % 10:
            labels.append(f"{10_000 + i};{late};{at + timedelta(hours=30):%d.%m.%Y %H:%M}")
    return ForeignLog(lines=lines, labels=labels, good=rows, told=len(labels) - 1, mean_wind=wind_sum / rows)


def nasty_log(rows: int = 900) -> ForeignLog:
    """The same with slips: each in a row of its own, whose label therefore finds no prediction."""
    log = foreign_log(rows)

    def spoil(line: int, place: int, text: str, reason: str) -> None:
        cells = log.lines[line - 1].split(";")
        log.unknown += (line - 2) % 10 != 0
        cells[place] = text
        log.lines[line - 1] = ";".join(cells)
        log.bad[line] = reason

    spoil(13, 2, "32.01.2026 04:00", "is not a time")
    spoil(24, 3, "defekt", "is not a number")
    spoil(35, 8, "1,7", "is outside of 0 to 1")
    spoil(46, 9, "vielleicht", "is not a class")
    spoil(57, 6, "manchmal", "is neither yes nor no")
    spoil(68, 7, "neu", "is not the number of a version")
    spoil(79, 0, "", "no value")
    log.good -= len(log.bad)
    log.lines.append(log.lines[100])
    log.bad[len(log.lines)] = "has come before"
    log.lines.append("zu;kurz")
    log.bad[len(log.lines)] = "too few or too many fields"
    log.labels.append("99999;spät;03.02.2026 10:00")
    log.told, log.unknown = log.told + 1, log.unknown + 1
    return log
