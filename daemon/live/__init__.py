"""From source to snapshot: the supervisor of a source, the hub that owns the cells, and what watches both."""
