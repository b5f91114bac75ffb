"""Training: optimizers, rate schedules, callbacks, seeds and the fit itself."""
