"""Time and memory of each step, beside the tutorials' way and bare libraries."""
