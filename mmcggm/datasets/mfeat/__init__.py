"""UCI Multiple Features: data set and converter."""
