"""What other people call the parts of a log, in English and German: words without case, accents and signs."""

from __future__ import annotations

import re
import unicodedata

from pilothouse.ops.imports.mapping import Part

NAMES: dict[Part, tuple[str, ...]] = {
    Part.ID: (
        "id", "prediction id", "predictionid", "request id", "requestid", "uuid", "row id", "event id", "inference id",
        "score id", "record id", "vorhersage id", "prognose id",
    ),
    Part.PREDICTION: (
        "prediction", "pred", "predicted", "y pred", "yhat", "y hat", "predicted class", "predicted label", "decision",
        "model output", "output", "forecast", "estimate", "vorhersage", "prognose", "entscheidung", "schatzung",
    ),
    Part.SCORE: (
        "score", "prob", "proba", "probability", "p", "y prob", "y score", "confidence", "likelihood", "risk",
        "risk score", "propensity", "model score", "predicted probability", "wahrscheinlichkeit", "p hat",
    ),
    Part.PROBABILITIES: (
        "probabilities", "probability", "probas", "proba", "probs", "scores", "class probabilities", "class scores",
        "predict proba", "y proba", "y prob", "wahrscheinlichkeiten",
    ),
    Part.LABEL: (
        "label", "target", "truth", "actual", "actuals", "ground truth", "y", "y true", "outcome", "observed", "result",
        "class", "ergebnis", "tatsachlich", "ist", "eingetreten", "wahrheit",
    ),
    Part.OBSERVED_AT: (
        "observed at", "label time", "labelled at", "labeled at", "outcome at", "outcome time", "known at", "resolved at",
        "closed at", "landed", "settled at", "label at", "ergebnis am", "beobachtet am", "eingetreten am",
    ),
    Part.VERSION: ("version", "model version", "modell version", "modelversion", "modellversion", "model v"),
    Part.ENTITY: (
        "entity", "entity id", "user id", "user", "customer id", "customer", "account id", "account", "client id",
        "patient id", "device id", "member id", "kunde", "kunden id", "kunden nr", "kundennummer", "kundennr",
    ),
}  # fmt: skip
TIME_WORDS = frozenset(
    (
        "at", "time", "timestamp", "ts", "date", "datetime", "created", "scored", "epoch", "day", "when",
        "zeit", "zeitpunkt", "datum", "zeitstempel", "uhrzeit",
    )
)  # fmt: skip
KEY_WORDS = frozenset(
    (
        "key", "ref", "reference", "no", "nr", "number", "num", "order", "booking", "flight", "invoice", "ticket",
        "claim", "case", "nummer", "buchung", "buchungs", "auftrag", "auftrags", "rechnung", "rechnungs", "vorgang",
        "vorgangs", "fall", "flug",
    )
)  # fmt: skip
ID_WORDS = frozenset(("id", "uuid", "guid"))


def words_of(name: str) -> tuple[str, ...]:
    """The words of a name, without case, accents and signs.

    >>> words_of("GrößeInCm (Ø)")
    ('grosse', 'in', 'cm', 'o')
    """
    split = re.sub(r"(?<=[a-zäöü0-9ß])(?=[A-ZÄÖÜ])", " ", name).replace("ß", "ss").replace("Ø", "o").replace("ø", "o")
    bare = unicodedata.normalize("NFKD", split).encode("ascii", "ignore").decode().lower()
    return tuple(re.findall(r"[a-z]+|[0-9]+", bare))
