"""The words that goals are made of, and the environment's error: what is needed before there is any array."""

Atom = tuple[str, ...]
"""One predicate of LIBERO's goal language, for instance `("on", "akita_black_bowl_1", "plate_1")`."""

Goal = tuple[Atom, ...]
"""A conjunction of atoms: reached when all of them hold."""


class EnvError(RuntimeError):
    """The environment cannot go on: a broken scene, an exploded simulation, missing assets."""
