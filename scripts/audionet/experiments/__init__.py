"""Pages and summaries for people."""
