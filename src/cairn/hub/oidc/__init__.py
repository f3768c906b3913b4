"""Signing in by an OpenID provider: discovery, the request, the answer, the ID token."""
