"""Our own JSON API, described by OpenAPI."""
