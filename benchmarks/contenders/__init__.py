"""The contenders of the races: scripts that run alone, most of them in environments without kerasweep."""
