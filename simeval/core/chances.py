"""Sentences about what a number of pairs can find: `plan` prints them before a run, the tables after it."""

from collections.abc import Iterable, Sequence

from simeval.stats.power import Sensitivity


def odds(chance: float) -> str:
    """A probability in words: `8 of 10`, `1 of 40`, `hardly any`."""
    if chance < 0.005:
        return "hardly any"
    if chance < 0.095:
        return f"1 of {1 / chance:.0f}"
    if chance < 0.945:
        return f"{10 * chance:.0f} of 10"
    return f"{100 * chance:.0f} of 100" if chance < 0.995 else "nearly all"


_UNEQUAL = ", if tasks had equally many,"


def counted(count: int, noun: str) -> str:
    """`1 pair`, `2 pairs`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def findable(sizes: Sequence[Sensitivity], unit: str = "pair") -> str:
    """What comparisons of these sizes can find, in one or two sentences.

    Args:
        sizes: at least one; several are summed up by their smallest and largest numbers.
        unit: what is counted: `pair` or `initial state`.
    """
    able = [size for size in sizes if size.visible is not None]
    text = ""
    if able:
        visible, half = (size.visible or 0.0 for size in able), [size.half_found or 0.0 for size in able]
        points = _span(f"{100 * drop:.1f}" for drop in visible)
        pairs = _span(str(size.pairs) for size in able)
        of = f"{pairs} {unit if pairs == '1' else unit + 's'}{_UNEQUAL if _unequal(able) else ''}"
        text = (
            f"With {of} a true drop of {points} points would be found in {odds(able[0].power)} such runs, "
            f"half of it in {_span(map(odds, (min(half), max(half))))}."
        )
        if all(size.harmed is not None for size in able):
            text += f" {_called(able, unit)}"
    if len(able) < len(sizes):
        text += " " if text else ""
        text += _too_few([size for size in sizes if size.visible is None], unit)
    return text


def _unequal(sizes: Sequence[Sensitivity]) -> bool:
    return not all(size.equal for size in sizes)


def _called(sizes: Sequence[Sensitivity], unit: str) -> str:
    harmed = _span(str(size.harmed) for size in sizes)
    points = _span(f"{100 * (size.harmed or 0) / size.pairs:.1f}" for size in sizes)
    others = "; fewer beside other drops" if max(size.tests for size in sizes) > 1 else ""
    if _unequal(sizes):  # the drop weighs tasks, the test counts pairs
        return f"A drop takes at least {harmed} harmed {unit}s (0 helped{others}); their points depend on their tasks."
    text = f"A drop is called from {points} observed points on ({harmed} harmed, 0 helped{others})"
    usual = {(size.usual_harmed, size.usual_helped, size.pairs) for size in sizes}
    (more, helped, pairs), *others_usual = usual
    if others_usual or more is None or helped is None:
        return f"{text}."
    return f"{text}; with {helped} helped, as to be expected, from {100 * (more - helped) / pairs:.1f} ({more} harmed)."


def _too_few(sizes: Sequence[Sensitivity], unit: str) -> str:
    pairs, needed = max(size.pairs for size in sizes), max(size.harmed or 0 for size in sizes)
    if pairs < needed:
        return f"With {counted(pairs, unit)} no drop can be called: that takes at least {needed} harmed {unit}s."
    return f"With {counted(pairs, unit)} that differ so much no drop is found in {odds(sizes[0].power)} such runs."


def _span(texts: Iterable[str]) -> str:
    """The first and the last of some numbers as text, by value where they are numbers."""
    different = list(dict.fromkeys(texts))
    if all(text.replace(".", "", 1).isdigit() for text in different):
        different.sort(key=float)
    return different[0] if len(different) == 1 else f"{different[0]} to {different[-1]}"
