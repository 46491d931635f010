"""The context: 4096 numbers in 15 named groups, and the encoder that computes them."""
