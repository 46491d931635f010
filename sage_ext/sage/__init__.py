"""SAGE: a slow mind that acts from the context, a fast body, and 256 numbers between them."""
