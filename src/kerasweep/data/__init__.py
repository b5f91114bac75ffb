"""Images: sources, splits, scaling and the batches that training reads."""
