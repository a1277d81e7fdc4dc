"""What is wrong with this installation, one subject per module."""
