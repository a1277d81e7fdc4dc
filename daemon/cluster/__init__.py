"""Thousands of logs on a cluster that is there already: Dask distributed."""
