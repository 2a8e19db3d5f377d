"""Behavior of each kind: its encoding for a teacher, and what missing means."""
