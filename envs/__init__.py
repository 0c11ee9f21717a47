"""Simulated environments: the contract (`base`), the static catalogue (`suites`) and one module per simulator."""

from envs.numerics import pin

pin()  # before NumPy, which most modules of this package import
del pin
