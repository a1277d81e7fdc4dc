"""Samples that another logger sends as they come."""
