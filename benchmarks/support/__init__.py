"""What several benchmarks share; no benchmark itself, so that ``make bench`` passes it by."""
