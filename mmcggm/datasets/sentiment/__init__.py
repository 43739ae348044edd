"""CMU-MOSI and CMU-MOSEI: pickles, their store, converter and data set."""
