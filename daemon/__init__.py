"""Wiring: command line, configuration, hub, store."""
