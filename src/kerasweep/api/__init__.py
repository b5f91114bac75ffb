"""Python's door: the functions that `import kerasweep` offers."""
