"""One trial: its data, its network under training, and what is recorded of it."""
