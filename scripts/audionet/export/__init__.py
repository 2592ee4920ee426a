"""A classifier in the formats of other runtimes, checked before it is kept."""
