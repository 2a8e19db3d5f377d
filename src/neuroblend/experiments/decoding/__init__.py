"""Rates and behavior from spikes, with and without it in training."""
