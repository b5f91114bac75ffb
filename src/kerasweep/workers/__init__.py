"""Worker processes: how many, how they start and end, and what they say."""
