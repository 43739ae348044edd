"""BraTS: cases in NIfTI files, their store, splits, data set, and the phantom."""
