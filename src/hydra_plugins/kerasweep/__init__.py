"""The plugins that Hydra looks for: kerasweep's sweeper, launcher and search path."""
