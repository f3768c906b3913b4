"""Cairn: an open home for AI checkpoints."""

__version__ = "0.1.0"
