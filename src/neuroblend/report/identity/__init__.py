"""Figures and caveats of the identity of cells."""
