"""From bytes to sample batches. One module per protocol."""
