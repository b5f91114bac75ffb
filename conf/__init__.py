"""What a run is made of: one folder a choice, found by Hydra as `pkg://conf`."""
