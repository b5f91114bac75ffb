"""Drives a sweep: the trials of its study, their runs, the live view, and the summary at the end."""
