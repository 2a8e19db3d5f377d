"""Masking, and one fit() for teacher, student and baseline alike."""
