"""Decoding in several sessions of one task, by one network."""
