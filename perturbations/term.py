"""A term of a condition: one axis at one value."""

from dataclasses import dataclass

from perturbations.base import ALL, SEED, TARGET, TIMING_KEYS, AxisInfo, Meaning, RngFactory, find_axis


def number_text(value: float) -> str:
    """The shortest text that reads back as the same number, without `+`, which separates terms."""
    return repr(float(value)).removesuffix(".0").replace("e+", "e")


@dataclass(frozen=True, slots=True)
class Term:
    """One axis at one value. Built by `perturbations.spec`, which checks the values.

    Attributes:
        axis: canonical name.
        value: a number in the axis' unit, or a word, with its argument after a colon.
        camera: the camera it is aimed at, or `all`.
        options: (key, value) of the keys that differ from their default, by key.
    """

    axis: str
    value: float | str
    camera: str = ALL
    options: tuple[tuple[str, str], ...] = ()

    @property
    def info(self) -> AxisInfo:
        """The axis' declaration."""
        return find_axis(self.axis)

    @property
    def is_identity(self) -> bool:
        """Whether it changes nothing."""
        return self.value == self.info.identity

    @property
    def cameras(self) -> tuple[str, ...]:
        """The cameras it is aimed at; empty for an axis that takes no camera."""
        return self.info.cameras if self.camera == ALL else (self.camera,)

    @property
    def meaning(self) -> Meaning:
        """What it does to the meaning of the instruction."""
        return self.info.words.get(str(self.value).partition(":")[0], "kept")

    def option(self, name: str) -> str | None:
        """The value of a key; `None` if the axis has no such key."""
        key = self.info.key(name)
        return dict(self.options).get(name, key.default) if key else None

    @property
    def target(self) -> str:
        """The thing that `/target=NAME` names; empty without one."""
        return self.option(TARGET.name) or ""

    @property
    def settings(self) -> dict[str, str]:
        """Every key that the axis' own function takes, with its value."""
        chosen = dict(self.options)
        # An image axis does not get the name but the mask.
        taken = (*TIMING_KEYS, TARGET.name) if self.info.channel == "image" else TIMING_KEYS
        return {key.name: chosen.get(key.name, key.default) for key in self.info.keys if key.name not in taken}

    def is_active(self, step: int) -> bool:
        """Whether it acts on the frame after `step` control steps: from <= step < until."""
        until = self.option("until")
        return int(self.option("from") or 0) <= step and (not until or step < int(until))

    def draws(self, rng: RngFactory) -> RngFactory:
        """The random streams that it draws from: those of the pair, or others with `/seed=N`."""
        seed = self.option(SEED.name) or SEED.default
        if seed == SEED.default:
            return rng
        return lambda name, camera, step: rng(f"{name}/seed={seed}", camera, step)

    def __str__(self) -> str:
        value = self.value if isinstance(self.value, str) else number_text(self.value)
        camera = "" if self.camera == ALL else f"@{self.camera}"
        return f"{self.axis}:{value}{camera}" + "".join(f"/{name}={text}" for name, text in self.options)
