"""Data to train on, read row by row: files of CSV, JSON lines and Parquet, folders of media."""

from cairn.training.rows.base import Joined, Row, Rows, naming_row, row_name
from cairn.training.rows.noticing import Noticed
from cairn.training.rows.opening import Data, open_data
from cairn.training.rows.splitting import Split, split

__all__ = [
    "Data",
    "Joined",
    "Noticed",
    "Row",
    "Rows",
    "Split",
    "naming_row",
    "open_data",
    "row_name",
    "split",
]
