"""Judging a trained network: metrics of its predictions, and figures of them."""
