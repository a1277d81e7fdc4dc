"""Readers of recorded logs: text to sample batches."""
