"""The commands: one module a verb, from its options to what it prints."""
