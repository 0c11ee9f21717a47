"""Figures of a report: each painter takes numbers and a canvas and returns a figure; it computes nothing."""
