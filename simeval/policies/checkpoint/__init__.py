"""Reads and checks a checkpoint folder before lerobot loads it."""
