"""What a sweep may vary: axes, their conditions, and how both are written."""
