"""Fit heads, and what is calibrated on their answers: temperatures, weights of members, thresholds, similarity."""
