"""Searches: the space, the study, the driver that asks and tells, and the summary at the end."""
