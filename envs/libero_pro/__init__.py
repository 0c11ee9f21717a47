"""LIBERO-PRO: LIBERO's tasks with other words, objects, places and goals."""
