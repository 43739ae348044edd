"""Features of frozen encoders: computing, storing and reading them."""
