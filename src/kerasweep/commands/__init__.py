"""The commands train, compare and predict."""
