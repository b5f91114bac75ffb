"""Measures kerasweep on this machine, side by side with what it is compared to."""
