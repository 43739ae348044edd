"""Faults that are injected, and what comes of them."""
