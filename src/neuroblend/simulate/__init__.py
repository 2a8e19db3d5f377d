"""Recordings whose true firing rates are known."""
