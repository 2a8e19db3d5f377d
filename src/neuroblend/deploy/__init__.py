"""Trained students away from their run: predicting, streaming, files to take along."""
