"""Timelines: spans of one label or speaker, how they are decoded and clustered, and where the sound changes over."""
