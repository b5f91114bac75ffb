"""Scripts of the contenders; most of them run in environments without kerasweep."""
