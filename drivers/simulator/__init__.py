"""The simulated car and its ECU."""
