"""The search: an Optuna study, the states of its trials, and the next configuration."""
