"""One trial: its data, the training of its network, and its record."""
