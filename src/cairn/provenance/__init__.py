"""Proof of what was published: signatures, and a log that cannot be rewritten unseen."""
