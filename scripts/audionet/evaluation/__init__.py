"""How good a classifier is, on what, and whether the score may be believed."""
