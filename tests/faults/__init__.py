"""Faults that are injected on purpose, and what they cost."""
