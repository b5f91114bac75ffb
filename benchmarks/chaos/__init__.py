"""Runs sweeps under kills, outages and full disks, and checks that they lose and repeat nothing."""
