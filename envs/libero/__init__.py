"""LIBERO's tasks on robosuite's models and MuJoCo, stepped exactly as robosuite steps them."""
