"""Measurements that print their figures: medians and p99, how many runs, on what. `make bench` runs them all."""
