"""How the mind learns: prediction, regularity, and the loss that joins them."""
