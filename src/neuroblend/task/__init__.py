"""Trials as tensors: what models see and what losses compare with."""
