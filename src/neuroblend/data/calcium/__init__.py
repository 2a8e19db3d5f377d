"""Sessions of labelled cells, and where they are read from."""
