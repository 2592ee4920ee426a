"""What bench.py measures with, and what it compares with."""
