"""The sections of a report: numbers in; words, plots, tables and clips out, ready for the template."""
