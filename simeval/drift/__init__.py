"""Offline action drift: how far a perturbation moves the predicted action on the same frame."""
