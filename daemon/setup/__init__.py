"""A first configuration from what is plugged in."""
