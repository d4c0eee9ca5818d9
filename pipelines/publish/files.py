"""Rows of a split as Parquet files of some 64 MB, each of which appears whole or not at all."""

from __future__ import annotations

import io
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from cluster.storage import Storage

FILE_BYTES = 64 << 20  # of rows in memory; on disk about a third


@dataclass
class SplitFiles:
    """Gathers the rows of one split until they fill a file; at most one file's rows are in memory."""

    folder: Storage
    prefix: str  # `corpus/train` makes `corpus/train-00000.parquet`
    files: int = 0
    rows: int = 0
    _waiting: list[pa.Table] = field(default_factory=list)

    def add(self, rows: pa.Table) -> None:
        """Raises StorageFull."""
        self._waiting.append(rows)
        self.rows += rows.num_rows
        if sum(part.nbytes for part in self._waiting) >= FILE_BYTES:
            self._write()

    def close(self) -> None:
        """Write what waits."""
        if self._waiting:
            self._write()

    def _write(self) -> None:
        sink = io.BytesIO()
        pq.write_table(pa.concat_tables(self._waiting), sink, compression="zstd")
        self.folder.write(f"{self.prefix}-{self.files:05}.parquet", sink.getvalue())
        self._waiting.clear()
        self.files += 1
