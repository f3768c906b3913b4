"""Several processes that train together: what each keeps, and how they agree on one checkpoint."""
