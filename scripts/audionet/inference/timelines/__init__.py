"""Timelines of recordings as users have them: printed, as files of other programs, as pictures, as clips."""
