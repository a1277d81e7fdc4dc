"""The reference of the documentation, made from the code by ``python -m tools.reference``."""
