"""Balancing methods, one file a method."""
