"""The names that Cairn's training checkpoints go by, for those who write and those who read them.

What stands in the record is listed in docs/formats/cairn-training.md.
"""

RECORD = "checkpoint.json"
FORMAT = "cairn-training"
VERSION = 1
"""The newest version of the format, and the only one so far."""
