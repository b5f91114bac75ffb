"""Simulates studies whose truth is known, and counts how often the reports are wrong."""
