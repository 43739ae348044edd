"""CMU-MOSI: sentiment of utterances, as ready-made features."""
