"""Multirun: finds out what a command asks, composes its trials, and conducts the sweep."""
