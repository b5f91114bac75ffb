"""Hands a trained model over: test it, promote it, export it."""
