"""Runs and audits on disk."""
