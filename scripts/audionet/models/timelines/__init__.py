"""Spans of one label, of unknown or of silence: how they are decoded, and where the sound changes over."""
