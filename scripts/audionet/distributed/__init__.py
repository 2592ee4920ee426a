"""Work on several machines, and recordings in a store."""
