"""The strengths of an axis that a search chooses among: `AXIS[:FROM..TO][@camera][/key=value]`.

A strength is measured as a share of the range: 0 is the value that changes nothing, 1 the far end. The scale is that of
ratios where both are positive (0.5 of a light is as far from 1 as 0.25 from 0.5), else that of differences.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from perturbations.base import AxisInfo, SpecError, find_axis, quote
from perturbations.spec import parse
from perturbations.term import number_text
from simeval.core.errors import ConfigError

POINTS = 40
"""Strengths of a range. The threshold is not one of them: it is read from the curve."""
_AXIS = re.compile(r"(?P<axis>[^:@/+]+)(?::(?P<range>[^@/+]*))?(?P<rest>[@/][^+]*)?")


@dataclass(frozen=True, slots=True)
class StrengthRange:
    """The range of an axis.

    Attributes:
        label: the condition without its value, for instance `noise@wrist`.
        unit: of the values.
        identity: the value that changes nothing.
        stop: the far end.
        is_ratio: whether strengths are compared by their ratio.
        values: strengths in ascending distance from `identity`; the last is `stop`.
        conditions: canonical condition of each.
    """

    label: str
    unit: str
    identity: float
    stop: float
    is_ratio: bool
    values: tuple[float, ...]
    conditions: tuple[str, ...]

    def share(self, value: float) -> float:
        """Distance of a value from `identity`, as a share of the range."""
        return _distance(value, self.identity, is_ratio=self.is_ratio) / _distance(
            self.stop, self.identity, is_ratio=self.is_ratio
        )

    def value(self, share: float) -> float:
        """The value at a share of the range; that at 1 for a larger one."""
        return _value(min(share, 1.0), self.identity, self.stop, is_ratio=self.is_ratio)

    def text(self, value: float) -> str:
        """A value for people, with the digits that its range deserves."""
        size = value if self.is_ratio else 1.2 * (self.stop - self.identity)
        digits = max(0, 2 - math.floor(math.log10(abs(size))))
        return f"{value:z.{digits}f}"


def strength_ranges(texts: Sequence[str], points: int = POINTS) -> tuple[StrengthRange, ...]:
    """The ranges of `--perturb` options.

    Args:
        texts: the options.
        points: most strengths of each.

    Raises:
        ConfigError: there is none, one has no strength or is outside the bounds of its axis, or one is given twice.
    """
    try:
        ranges = tuple(_range(text, points) for text in texts)
    except SpecError as error:
        raise ConfigError(f"--perturb {error}") from None
    if not ranges:
        raise ConfigError("--perturb: name an axis, for instance --perturb noise, or --perturb light:1..0.2")
    labels = [one.label for one in ranges]
    for label in labels:
        if labels.count(label) > 1:
            raise ConfigError(f"--perturb {label}: given twice; a run searches one range of it")
    return ranges


def sides(text: str) -> tuple[str, ...]:
    """A `--perturb` option as one option for each side of the value that changes nothing, if it lies inside the range.

    Raises:
        SpecError: an end of the range is no value of the axis.
    """
    match = _AXIS.fullmatch(text.strip())
    near, dots, far = ((match and match["range"]) or "").partition("..")
    if match is None or not (near.strip() and dots and far.strip()):
        return (text,)
    info, rest = find_axis(match["axis"].strip()), match["rest"] or ""
    if info.words:
        return (text,)
    identity, ends = float(info.identity), [_parsed(info, end.strip(), rest) for end in (near, far)]
    if not min(ends) < identity < max(ends):
        return (text,)
    ends.sort(key=lambda end: end < identity)  # the larger values first
    return tuple(f"{info.name}:{number_text(identity)}..{number_text(end)}{rest}" for end in ends)


def _range(text: str, points: int) -> StrengthRange:
    match = _AXIS.fullmatch(text.strip())
    if match is None:
        raise SpecError(f"{quote(text)}: name one axis, for instance noise, or noise:0..0.5@wrist")
    info, rest = find_axis(match["axis"].strip()), match["rest"] or ""
    if info.words:
        raise SpecError(f"{quote(text)}: {info.name} takes words, which have no order of strength; name another axis")
    identity = float(info.identity)
    if match["range"] is None:
        start, stop = identity, _far_end(info, text)
    else:
        near, dots, far = match["range"].partition("..")
        if not dots or not far.strip():
            raise SpecError(f"{quote(text)}: write a range FROM..TO, for instance {info.name}:{_example(info)}")
        ends = [_parsed(info, end, rest) for end in (near.strip() or number_text(identity), far.strip())]
        start, stop = sorted(ends, key=lambda end: abs(end - identity))
    if stop == identity or start == stop:
        raise SpecError(f"{quote(text)}: a range of two different values is needed, for instance {_example(info)}")
    if (start - identity) * (stop - identity) < 0:
        raise SpecError(
            f"{quote(text)}: {number_text(identity)} changes nothing and lies inside; search one side, for instance "
            f"{info.name}:{number_text(identity)}..{number_text(stop)}"
        )
    is_ratio = identity > 0 and stop > 0
    values = _values(info, (identity, start, stop), points, is_ratio=is_ratio)
    conditions = tuple(str(parse(f"{info.name}:{number_text(value)}{rest}")) for value in values)
    label = conditions[-1].replace(f":{number_text(stop)}", "", 1)
    return StrengthRange(label, info.unit.name, identity, stop, is_ratio, values, conditions)


def _parsed(info: AxisInfo, text: str, rest: str) -> float:
    (term,) = parse(f"{info.name}:{text}{rest}").terms
    return float(term.value)


def _far_end(info: AxisInfo, text: str) -> float:
    """The bound of an axis on the side of its severities."""
    low, high = info.bounds
    rises = info.presets[-1] > float(info.identity) if info.presets else high > float(info.identity)
    end = high if rises else low
    if not math.isfinite(end):
        raise SpecError(f"{quote(text)}: {info.name} has no limit; give a range, for instance {_example(info)}")
    return end


def _example(info: AxisInfo) -> str:
    end = info.presets[-1] if info.presets else next(b for b in (*reversed(info.bounds), 1.0) if math.isfinite(b))
    return f"{info.identity:g}..{end:g}"


def _values(info: AxisInfo, ends: tuple[float, float, float], points: int, *, is_ratio: bool) -> tuple[float, ...]:
    """Values in even steps, without the one that changes nothing.

    Args:
        info: the axis.
        ends: the value that changes nothing, and the near and the far end of the range.
        points: their number.
        is_ratio: whether the steps are even in ratio.
    """
    identity, start, stop = ends
    first = _distance(start, identity, is_ratio=is_ratio) / _distance(stop, identity, is_ratio=is_ratio)
    skipped = 1 if start == identity else 0
    count = points - 1 + skipped
    shares = [first + (1 - first) * i / count for i in range(skipped, count)]
    exact = [_value(share, identity, stop, is_ratio=is_ratio) for share in shares]
    values = [*(_rounded(info, value, abs(stop - start), is_ratio=is_ratio) for value in exact), stop]
    return tuple(value for value in dict.fromkeys(values) if value != identity)


def _rounded(info: AxisInfo, value: float, span: float, *, is_ratio: bool) -> float:
    if info.unit.whole:
        return float(round(value))
    magnitude = abs(value) if is_ratio else span
    rounded = round(value, 3 - math.floor(math.log10(magnitude)))
    return min(max(rounded, info.bounds[0]), info.bounds[1]) + 0.0


def _distance(value: float, identity: float, *, is_ratio: bool) -> float:
    return abs(math.log(value / identity)) if is_ratio else abs(value - identity)


def _value(share: float, identity: float, stop: float, *, is_ratio: bool) -> float:
    if is_ratio:
        return float(identity * (stop / identity) ** share)
    return identity + share * (stop - identity)
