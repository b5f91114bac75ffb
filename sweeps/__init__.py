"""Studies, one question a file, found by Hydra as `pkg://sweeps` from any directory."""
