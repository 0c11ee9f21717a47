"""A scripted policy that solves LIBERO's tasks with the simulator's state."""
