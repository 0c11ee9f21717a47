"""Goals and the environment's error, in a module without NumPy so that light modules can import them."""

Atom = tuple[str, ...]
"""One predicate of LIBERO's goal language: `("on", "akita_black_bowl_1", "plate_1")`."""

Goal = tuple[Atom, ...]
"""A conjunction of atoms: reached when all of them hold at once."""


class EnvError(RuntimeError):
    """The environment cannot continue: broken scene, diverged simulation or missing assets."""
