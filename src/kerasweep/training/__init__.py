"""Training: program, fit, schedules, optimizers, callbacks, checkpoints, and the process they run in."""
