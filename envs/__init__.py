"""Simulated environments: the contract (`base`), the static catalogue (`suites`) and one module per simulator."""
