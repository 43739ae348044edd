"""IEMOCAP: feature files, labels and data set."""
