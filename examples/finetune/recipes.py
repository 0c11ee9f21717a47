"""Recipes: what is trained, on which objective, with which regularisers, by one short text."""

from dataclasses import dataclass, fields

BASES = ("flow", "l1", "frozen", "lora")
"""Flow matching and L1 regression with all weights; flow matching with a frozen vision encoder, and with LoRA."""

REGULARISERS = ("contrast", "consistency", "augment", "align")
"""Language contrast, visual consistency, augmentation, alignment of visual features; see `losses`.

Augmentation is the control of visual consistency: the same changed views, with the demonstrated actions.
"""


@dataclass(frozen=True)
class Weights:
    """Weights of the regularisers beside the objective, whose weight is 1. Our choice, but for `align`.

    Attributes:
        contrast: of the language contrast.
        consistency: of the visual consistency. With 1 it was hardly felt; see docs/numbers/fine-tunes.md.
        augment: of the objective on changed views.
        align: of the alignment; 0.2 as in "Don't Blind Your VLA" (arXiv 2510.25616).
        margin: distance of two chunks beyond which the contrast is satisfied, in standard deviations of an action.
    """

    contrast: float = 0.5
    consistency: float = 10.0
    augment: float = 1.0
    align: float = 0.2
    margin: float = 0.5


@dataclass(frozen=True)
class Recipe:
    """A way to fine-tune.

    Attributes:
        base: one of `BASES`.
        regularisers: some of `REGULARISERS`, in that order.
    """

    base: str
    regularisers: tuple[str, ...] = ()

    @property
    def objective(self) -> str:
        """Name of the loss that is trained on."""
        return "l1" if self.is_regression else "flow"

    @property
    def sees_changed_views(self) -> bool:
        """Whether a regulariser shows it permitted views."""
        return self.has("consistency") or self.has("augment")

    @property
    def is_regression(self) -> bool:
        """Whether it predicts the chunk in one step instead of a flow."""
        return self.base == "l1"

    def has(self, regulariser: str) -> bool:
        """Whether it uses a regulariser."""
        if regulariser not in REGULARISERS:
            raise KeyError(regulariser)
        return regulariser in self.regularisers

    @property
    def file_name(self) -> str:
        """Its text with underscores."""
        return "_".join((self.base, *self.regularisers))

    def __str__(self) -> str:
        return "+".join((self.base, *self.regularisers))


def parse_recipe(text: str) -> Recipe:
    """Parse a recipe such as `flow+contrast+consistency`.

    Raises:
        ValueError: one line with what is wrong and what there is.
    """
    base, *added = text.split("+")
    if base not in BASES:
        raise ValueError(f"recipe '{text}': it begins with one of {', '.join(BASES)}, not '{base}'")
    if unknown := [word for word in added if word not in REGULARISERS]:
        raise ValueError(f"recipe '{text}': '{unknown[0]}' is none of the regularisers {', '.join(REGULARISERS)}")
    if len(set(added)) < len(added):
        raise ValueError(f"recipe '{text}': a regulariser is given twice")
    return Recipe(base, tuple(word for word in REGULARISERS if word in added))


def parse_weights(text: str) -> Weights:
    """Parse weights such as `contrast=1,margin=0.3`; the others keep their defaults.

    Raises:
        ValueError: one line with what is wrong and what there is.
    """
    names = [field.name for field in fields(Weights)]
    values = {}
    for part in filter(None, text.split(",")):
        name, _, number = part.partition("=")
        if name not in names:
            raise ValueError(f"weights '{text}': there is no '{name}', only {', '.join(names)}")
        try:
            values[name] = float(number)
        except ValueError:
            raise ValueError(f"weights '{text}': '{number}' is no number") from None
        if not 0 <= values[name] < float("inf"):
            raise ValueError(f"weights '{text}': {name} must be 0 or larger")
    return Weights(**values)
