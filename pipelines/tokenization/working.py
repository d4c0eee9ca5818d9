"""What encoding leaves for the layout: the tokens of each table, and beside them their numbers, which are enough to decide on.

A unit's rows lie in the seeded order, in record batches of which a reader fetches those that it needs.
Swept away when the step is finished.
"""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from cluster.errors import UserError
from cluster.storage import Storage
from pipelines.tables import Table

BATCH_ROWS = 256  # of a record batch: about a megabyte of articles

_TOKENS = Table(
    "tokens",
    pa.schema(
        [
            ("id", pa.string()),
            ("source", pa.string()),
            ("position", pa.uint64()),  # where it stands in the seeded order
            ("prompt", pa.int32()),  # tokens at its beginning that are not learned
            ("input_ids", pa.list_(pa.int32())),
        ]
    ),
    format="arrow",
)
_NUMBERS = Table("numbers", pa.schema([("position", pa.uint64()), ("tokens", pa.int64())]), format="arrow")  # once laid out


def tokens_of(table: Table) -> Table:
    return replace(_TOKENS, name=f"tokens-{table.name}")


def numbers_of(table: Table) -> Table:
    return replace(_NUMBERS, name=f"numbers-{table.name}")


def in_batches(rows: pa.Table) -> pa.Table:
    """The same rows in chunks of BATCH_ROWS, which become record batches of the file."""
    return pa.Table.from_batches(rows.combine_chunks().to_batches(max_chunksize=BATCH_ROWS), rows.schema)


def read_run(folder: Storage, path: str, start: int, stop: int) -> pa.Table:
    """Rows `start` to `stop` of a file of tokens, read without the others. Raises UserError when it is damaged."""
    filesystem, base = folder.arrow()
    first, last = start // BATCH_ROWS, -(-stop // BATCH_ROWS)
    try:
        with filesystem.open_input_file(f"{base}/{path}") as file:
            reader = pa.ipc.open_file(file)
            rows = pa.Table.from_batches([reader.get_batch(number) for number in range(first, last)])
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{folder.url}/{path} is damaged ({error}); delete its step's folder and run again") from error
    return rows.slice(start - first * BATCH_ROWS, stop - start)
