"""Synthetic files in the published formats of data sets."""
