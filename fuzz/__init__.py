"""Targets for readers, assemblers and conclusions, run for a bounded time by `scripts/fuzz`."""
