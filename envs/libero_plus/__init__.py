"""LIBERO-plus: LIBERO's tasks with another camera, robot pose, sensor noise, wording or layout."""
