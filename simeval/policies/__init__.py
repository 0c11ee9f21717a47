"""Policies: the contract (`base`), lerobot checkpoints, scripted policies, and batched inference on GPUs."""
