"""The network side: who may connect, how fast, and what is kept of devices and published tables."""
