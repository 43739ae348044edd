"""Exercises of the shoulder, recorded by a watch: two sensors."""
