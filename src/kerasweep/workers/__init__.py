"""Worker processes: how many there are, how they start and end, and the messages they send."""
