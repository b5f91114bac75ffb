"""The doors Hydra requires: the plugin that turns `--multirun` into a sweep of ours."""
