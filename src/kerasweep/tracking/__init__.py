"""MLflow: how runs are named, written and read back."""
