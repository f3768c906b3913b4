"""Parquet, laid out once as an Arrow file that is mapped into memory: rows are read in any order.

A Parquet file is compressed in groups of many rows, so one row costs as much as its group; an
Arrow file has each row where it can be read alone. https://parquet.apache.org/docs/file-format
"""

import tempfile
from bisect import bisect_right
from itertools import accumulate
from pathlib import Path

from cairn.errors import MalformedError
from cairn.training.libraries import library
from cairn.training.rows.base import Row, Rows

_BATCH_ROWS = 1024


class Parquet(Rows):
    """The rows of a Parquet file; the Arrow file goes when the process ends."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        arrow, parquet = library("pyarrow"), library("pyarrow.parquet")
        self._kept = tempfile.NamedTemporaryFile(prefix="cairn-rows.")  # noqa: SIM115 - as long as rows
        try:
            with parquet.ParquetFile(path) as file:
                self.columns = tuple(file.schema_arrow.names)
                with arrow.ipc.new_file(self._kept, file.schema_arrow) as written:
                    for batch in file.iter_batches(_BATCH_ROWS):
                        written.write_batch(batch)
        except arrow.ArrowInvalid as error:
            raise MalformedError(f"no Parquet: {error}", source=self.name) from None
        self._kept.flush()
        self._file = arrow.ipc.open_file(arrow.memory_map(self._kept.name))
        counts = (self._file.get_batch(n).num_rows for n in range(self._file.num_record_batches))
        self._ends = list(accumulate(counts))

    def __len__(self) -> int:
        """See `Rows`."""
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, number: int) -> Row:
        """See `Rows`."""
        at = bisect_right(self._ends, number)
        inside = number - (self._ends[at - 1] if at else 0)
        found: Row = self._file.get_batch(at).slice(inside, 1).to_pylist()[0]
        return found
