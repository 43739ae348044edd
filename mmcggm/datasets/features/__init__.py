"""Anybody's features: arrays by modality, in files of any common kind."""
