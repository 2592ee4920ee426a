"""Whatever fits a classifier: choose, train and test it."""
