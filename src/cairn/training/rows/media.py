"""Pictures and sounds in a folder: with the name of that folder, or a line that tells of each.

A table with the column `file_name` tells of files beside it, as the image and audio folders of
`datasets` have it: https://huggingface.co/docs/datasets/image_load
"""

from collections.abc import Sequence
from pathlib import Path

from cairn.errors import EntryNotFoundError, MalformedError
from cairn.training.rows.base import FILE, Row, Rows, Told

PICTURES = frozenset((".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"))
SOUNDS = frozenset((".wav", ".flac", ".ogg", ".mp3"))
MEDIA = PICTURES | SOUNDS

NAME, LABEL = "file_name", "label"


class Labelled(Rows):
    """Files, the label of each the name of the folder it is in."""

    columns = (FILE, LABEL)

    def __init__(self, paths: Sequence[Path], name: str) -> None:
        self.name = name
        self._paths = paths

    def __len__(self) -> int:
        """See `Rows`."""
        return len(self._paths)

    def __getitem__(self, number: int) -> Row:
        """See `Rows`."""
        path = self._paths[number]
        return {FILE: path, LABEL: path.parent.name}


class Described(Rows):
    """The rows of a table, with the file that `file_name` says as `file`."""

    def __init__(self, rows: Rows, folder: Path) -> None:
        self.name = rows.name
        self.columns = (FILE, *(name for name in rows.columns if name != NAME))
        self._rows = rows
        self._folder = folder.resolve()

    def __len__(self) -> int:
        """See `Rows`."""
        return len(self._rows)

    def __getitem__(self, number: int) -> Row:
        """See `Rows`.

        Raises:
            MalformedError: the name leads out of the folder. EntryNotFoundError: there is no file.
        """
        row = self._rows[number]
        name = row[NAME]
        path = (self._folder / str(name)).resolve()
        if not path.is_relative_to(self._folder):
            raise MalformedError(f"row {number + 1} names {str(name)[:100]!r}", source=self.name)
        if not path.is_file():
            raise EntryNotFoundError(
                f"{self.name}: row {number + 1} names {name}, which is not there"
            )
        told = {column: value for column, value in row.items() if column != NAME}
        return Told({FILE: path, **told}, self.name, number)
