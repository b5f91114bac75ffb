"""The commands: train, compare, predict."""
