"""Extraction in a process of its own, which may do little more than read one file and answer."""

from cairn.scanner.confined.children import fork, spawn
from cairn.scanner.confined.process import ScanProcess

__all__ = ["ScanProcess", "fork", "spawn"]
