"""What a team has agreed on for a model: when labels are due, and what a challenger must show."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class Silence(StrEnum):
    """What it means that no label has come once the horizon is over."""

    UNKNOWN = "unknown"
    NEGATIVE = "negative"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelPolicy:
    """When labels arrive and what their absence says.

    horizon : how long after a prediction its label may take; before that the row is immature.
    silence : `unknown` leaves a row without label out of every metric; `negative` counts it as the negative class.
    """

    horizon: timedelta = timedelta(days=7)
    silence: Silence = Silence.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class GatePolicy:
    """What the gate asks of a challenger, judged on the same untouched rows as the champion.

    min_gain : by how much its ROC AUC must be higher; the paired 95 % band of the gain must lie above 0 as well.
    min_labelled : how many labelled rows the verdict must rest on.
    max_log_loss_increase : by how much its log-loss may be higher, in nats.
    """

    min_gain: float = 0.01
    min_labelled: int = 1000
    max_log_loss_increase: float = 0.01
