"""The search: an Optuna study, what its trials count as, and what is tried next."""
