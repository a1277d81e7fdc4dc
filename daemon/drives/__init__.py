"""Kept drives: which count, how they are shown, exported and judged again."""
