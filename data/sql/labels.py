"""The label join: one pair of statements for the reader, the fold and any recount."""

from __future__ import annotations

from pilothouse.data.sql.duck import statement


def label_matches(predictions: str, labels: str) -> str:
    """Every (prediction, label) pair, between relations named by SQL; binds `$horizon`. See label_matches.sql."""
    return statement("label_matches").format(predictions=predictions, labels=labels)


def winning_labels(predictions: str, labels: str) -> str:
    """The label that holds for each labelled prediction; binds `$horizon`. See winning_labels.sql.

    Columns: prediction_id, version, role, label, observed_at, recorded_at.
    """
    return statement("winning_labels").format(matches=f"({label_matches(predictions, labels)})")
