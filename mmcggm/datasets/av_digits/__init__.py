"""Spoken and handwritten digits: data set and converter."""
