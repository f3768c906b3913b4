"""Pictures of rows, opened whatever they lie in, and varied by the seed of a sample."""

import io
from pathlib import Path
from typing import Any

import numpy as np

from cairn.errors import MalformedError
from cairn.training.libraries import library
from cairn.training.rows import Row
from cairn.training.sampler import SampleIndex

PICTURE_COLUMNS = ("image", "file", "img", "picture")


def picture_of(row: Row, column: str) -> Any:
    """The picture in a column, in RGB: a file, bytes, or bytes as `datasets` keeps them.

    Raises:
        MalformedError: it is none, or has more pixels than Pillow bears.
    """
    images = library("PIL.Image")
    value = row[column]
    if isinstance(value, dict):
        value = value.get("bytes")
    name = value.name if isinstance(value, Path) else column
    try:
        with images.open(value if isinstance(value, Path) else io.BytesIO(value)) as opened:
            return opened.convert("RGB")
    except (OSError, TypeError, ValueError, SyntaxError, images.DecompressionBombError) as error:
        raise MalformedError(f"no picture: {error}", source=name) from None


def is_mirrored(index: SampleIndex) -> bool:
    """Whether this sample is learnt from as in a mirror, in this epoch."""
    return bool(np.random.default_rng(index.seed).random() < 0.5)


def mirrored(picture: Any) -> Any:
    """Left and right exchanged."""
    return picture.transpose(library("PIL.Image").Transpose.FLIP_LEFT_RIGHT)
