"""The search space: axes, their values, conditions and constraints, and how users write them."""
