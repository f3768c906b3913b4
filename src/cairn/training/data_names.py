"""Data of a run, by a name that is computed from their content."""

from pathlib import Path

from cairn.domain import TrainingData
from cairn.provenance.content import content_digest


def data_at(path: Path | str) -> TrainingData:
    """The data in a file or folder, all of which is read.

    Raises:
        EntryNotFoundError: there is nothing.
    """
    return TrainingData(str(path), content_digest(Path(path)))
