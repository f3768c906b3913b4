"""Fuzz targets: one per reader, run for a bounded time by `scripts/fuzz`."""
