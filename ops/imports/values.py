"""Reading other people's values: numbers with a decimal comma, times in many spellings, yes and no.

Every function gives null where a value cannot be read; who calls says what was wrong with which row.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

TRUE = ("true", "t", "yes", "y", "ja", "j", "wahr", "1")
FALSE = ("false", "f", "no", "n", "nein", "falsch", "0")
_COMMA = r"^\s*[+-]?(\d{1,3}(\.\d{3})+|\d+),\d+\s*$"
_DOT = r"^\s*[+-]?\d*\.\d+([eE][+-]?\d+)?\s*$"
_GROUPED = r"^\s*[+-]?\d{1,3}(\.\d{3})+\s*$"
_NUMBER = r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$"
_THOUSANDS = r"^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$"
_THOUSANDS_DOTTED = r"^[+-]?\d{1,3}(\.\d{3})+(,\d+)?$"
_DAYS_FIRST = ("%d.%m.%Y", "%d/%m/%Y", "%d-%m-%Y", "%d.%m.%y", "%d/%m/%y")
_MONTHS_FIRST = ("%m/%d/%Y", "%m-%d-%Y", "%m/%d/%y")
_YEARS_FIRST = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d")
_CLOCKS = (" %H:%M:%S%.f", " %H:%M", "", " %I:%M:%S %p", " %I:%M %p")
_ZONED = ("%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M%#z")
FORMATS = (*_ZONED, *(day + clock for day in (*_YEARS_FIRST, *_DAYS_FIRST, *_MONTHS_FIRST) for clock in _CLOCKS))
EPOCHS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
"""Whole numbers since 1970, by name, and how many microseconds one of them is."""

_FIRST_S, _LAST_S = 631_152_000, 4_102_444_800
"""1990 and 2100 in seconds: what lies outside is no time."""

ENOUGH = 0.9
"""Share of a column's values that must be readable as a kind for the column to be of it: the rest are bad rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How a source writes its values. `decimal`: "." or ",". `time_zone`: of times that name none themselves."""

    decimal: str = "."
    time_zone: str = "UTC"
    time_format: str | None = None


def decimal_of(sample: pl.DataFrame, delimiter: str | None) -> str:
    """ "," when the text columns write 3,5 somewhere and 3.5 nowhere; else ".".

    Where nothing but 1.234 or 1,234 stands, the delimiter decides: who separates columns by semicolons has a use for
    the comma.
    """
    texts = [sample[name] for name in sample.columns if sample[name].dtype == pl.String]
    commas = sum(int(text.str.contains(_COMMA).sum()) for text in texts)
    dots = sum(int((text.str.contains(_DOT) & ~text.str.contains(_GROUPED)).sum()) for text in texts)
    if commas and dots:
        return "," if commas > dots and delimiter != "," else "."
    return "," if commas and delimiter != "," else "."


def as_number(column: pl.Series, decimal: str = ".") -> pl.Series:
    """float64. A text may have spaces around it and, in threes, a sign for thousands. Infinity and NaN are null."""
    if column.dtype == pl.Boolean or column.dtype.is_numeric():
        number = column.cast(pl.Float64)
    elif column.dtype == pl.Null:
        return column.cast(pl.Float64)
    elif column.dtype in (pl.String, pl.Categorical, pl.Enum):
        number = _parsed(column.cast(pl.String), decimal)
    else:
        return pl.Series(column.name, [None] * len(column), pl.Float64)
    return number.to_frame().select(pl.when(pl.first().is_finite()).then(pl.first())).to_series().alias(column.name)


def _parsed(text: pl.Series, decimal: str) -> pl.Series:
    # Most columns are plain, and one cast is a tenth of what the expressions below cost.
    if decimal == ".":
        plain = text.cast(pl.Float64, strict=False)
        if plain.null_count() == text.null_count():
            return plain
    value = pl.first().str.strip_chars()
    grouped = value.str.contains(_THOUSANDS if decimal == "." else _THOUSANDS_DOTTED)
    bare = value.str.replace_all(",", "") if decimal == "." else value.str.replace_all(".", "", literal=True)
    clean = pl.when(grouped).then(bare).otherwise(value)
    if decimal == ",":
        clean = clean.str.replace(",", ".", literal=True)
    read = pl.when(clean.str.contains(_NUMBER)).then(clean.cast(pl.Float64, strict=False))
    return text.to_frame().select(read).to_series()


def as_boolean(column: pl.Series) -> pl.Series:
    """boolean. Texts of TRUE and FALSE in any case, and the numbers 0 and 1."""
    if column.dtype == pl.Boolean:
        return column
    text = column.cast(pl.Int64, strict=False).cast(pl.String) if column.dtype.is_numeric() else column.cast(pl.String)
    lower = pl.first().str.strip_chars().str.to_lowercase()
    read = pl.when(lower.is_in(TRUE)).then(True).when(lower.is_in(FALSE)).then(False)
    return text.to_frame().select(read).to_series().alias(column.name)


def as_text(column: pl.Series) -> pl.Series:
    """string, without spaces around it; nothing at all is null. Whole numbers are written without a fraction."""
    if column.dtype.is_float():
        whole = bool((column.drop_nulls().drop_nans() % 1 == 0).all())
        column = column.fill_nan(None).cast(pl.Int64, strict=False) if whole else column.fill_nan(None)
    text = column.cast(pl.String)
    stripped = pl.first().str.strip_chars()
    return text.to_frame().select(pl.when(stripped != "").then(stripped)).to_series().alias(column.name)


def time_formats(column: pl.Series, hinted: bool) -> tuple[str, ...]:
    """The spellings in which enough of a sample can be read as times, empty for none.

    More than one means that the day and the month cannot be told apart. hinted : whether the column's name speaks of
    time: only then are whole numbers taken for times.
    """
    known = column.drop_nulls()
    if isinstance(column.dtype, pl.Datetime) or column.dtype == pl.Date:
        return ("typed",)
    if len(known) == 0:
        return ()
    if column.dtype.is_integer() or (column.dtype.is_float() and hinted):
        return _epochs(known) if hinted else ()
    if column.dtype != pl.String:
        return ()
    text = _normal(known)
    fitting = [f for f in FORMATS if _parses(text, f) >= ENOUGH * len(text)]
    number = known.cast(pl.Int64, strict=False)
    if not fitting and hinted and number.null_count() <= (1 - ENOUGH) * len(known):
        return _epochs(number.drop_nulls())
    return tuple(fitting)


def as_time(column: pl.Series, time_format: str, zone: str) -> pl.Series:
    """Aware UTC microseconds. A time without a zone is one of `zone`; of two that it could be in autumn, the earlier."""
    if isinstance(column.dtype, pl.Datetime) or column.dtype == pl.Date:
        return _in_utc(column.cast(pl.Datetime("us", getattr(column.dtype, "time_zone", None))), zone)
    if time_format in EPOCHS:
        return _from_epoch(column, EPOCHS[time_format])
    text = _normal(column.cast(pl.String))
    parsed = text.str.to_datetime(time_format, strict=False, time_unit="us", ambiguous="earliest")
    return _in_utc(parsed, zone).alias(column.name)


def names_zone(column: pl.Series, time_format: str) -> bool:
    """Whether the times say themselves which zone they are of."""
    typed = isinstance(column.dtype, pl.Datetime) and column.dtype.time_zone is not None
    return typed or time_format in (*_ZONED, *EPOCHS) or time_format.endswith("z")


def _in_utc(times: pl.Series, zone: str) -> pl.Series:
    if isinstance(times.dtype, pl.Datetime) and times.dtype.time_zone is None:
        times = times.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return times.dt.convert_time_zone("UTC").cast(pl.Datetime("us", "UTC"))


def _from_epoch(column: pl.Series, micros: int) -> pl.Series:
    number = as_number(column)
    within = (number * micros / 1_000_000).is_between(_FIRST_S, _LAST_S)
    value = pl.when(pl.lit(within)).then((pl.first() * micros).round().cast(pl.Int64, strict=False))
    whole = number.to_frame().select(value).to_series()
    return whole.cast(pl.Datetime("us")).dt.replace_time_zone("UTC").alias(column.name)


def _epochs(numbers: pl.Series) -> tuple[str, ...]:
    return tuple(
        name
        for name, micros in EPOCHS.items()
        if int((numbers * (micros / 1_000_000)).is_between(_FIRST_S, _LAST_S).sum()) >= ENOUGH * len(numbers)
    )


def _normal(text: pl.Series) -> pl.Series:
    """Times with a space between day and clock, and UTC written as an offset."""
    spaced = text.str.strip_chars().str.replace(r"^(\d{4}-\d\d-\d\d)[Tt]", "$1 ")
    return spaced.str.replace(r" ?(Z|UTC)$", "+00:00").str.replace(r" ([+-]\d\d:?\d*)$", "$1")


def _parses(text: pl.Series, time_format: str) -> int:
    parsed = text.str.to_datetime(time_format, strict=False, time_unit="us", ambiguous="earliest")
    return len(text) - parsed.null_count()
