"""What a classifier is used for: label files, timelines and streams, enrol, compare, explain."""
