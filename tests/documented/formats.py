"""How numbers are written in texts."""

from simeval.stats.intervals import Interval


def percent(value: float | None) -> str:
    """A share in percent, with one decimal."""
    assert value is not None
    return f"{100 * value:.1f}"


def two_decimals(value: float | None) -> str:
    assert value is not None
    return f"{value:.2f}"


def span(interval: Interval | None) -> str:
    """An interval in percent."""
    assert interval is not None
    return f"{percent(interval.low)} to {percent(interval.high)}"
