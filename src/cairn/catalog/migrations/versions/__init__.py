"""One file per step, named by number."""
