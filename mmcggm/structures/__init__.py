"""Values that hold tensors: nested representations, and sequences with padding."""
