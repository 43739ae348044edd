"""UPMC Food-101: data set."""
