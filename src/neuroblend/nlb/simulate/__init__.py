"""Files in the form of the benchmark's datasets, simulated, so that their true rates are known."""
