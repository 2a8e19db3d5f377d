"""Figures and caveats of decoding."""
