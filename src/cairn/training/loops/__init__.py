"""Loops that other libraries run: one module for each, imported by those who use it.

`cairn.training` itself knows none of them. What the loops leave out of their own checkpoints is
measured in docs/training-loops.md.
"""
