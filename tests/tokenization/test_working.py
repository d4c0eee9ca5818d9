"""A run of rows is read from a file of tokens, local or in an object store, as it was written."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pytest

from cluster.errors import UserError
from cluster.storage import Storage, open_storage
from pipelines.artifact import ArtifactFolder
from pipelines.tables import CORPUS_TRAIN
from pipelines.tokenization.working import BATCH_ROWS, in_batches, read_run, tokens_of

ROWS = 3 * BATCH_ROWS + 7
TOKENS = tokens_of(CORPUS_TRAIN)


def written(folder: Storage) -> tuple[str, pa.Table]:
    columns = {
        "id": [f"d{n}" for n in range(ROWS)],
        "source": ["s"] * ROWS,
        "position": range(ROWS),
        "prompt": [0] * ROWS,
        "input_ids": [list(range(n % 5)) for n in range(ROWS)],
    }
    parts = pa.table({name: list(values) for name, values in columns.items()}, schema=TOKENS.schema)
    table = pa.concat_tables([parts.slice(0, 100), parts.slice(100)])
    [shard] = ArtifactFolder(folder).seal("unit", {TOKENS: in_batches(table)}).shards
    return shard.path, table


@pytest.mark.parametrize("kind", ["local", "s3"])
def test_a_run_is_the_rows_asked_for(kind: str, tmp_path: Path, s3_url: str) -> None:
    folder = open_storage(tmp_path if kind == "local" else s3_url)
    path, table = written(folder)
    dice = random.Random(1)
    random_runs = [sorted(dice.sample(range(ROWS + 1), 2)) for _ in range(6)]
    for start, stop in [(0, ROWS), (0, 1), (ROWS - 1, ROWS), (BATCH_ROWS, 2 * BATCH_ROWS), *random_runs]:
        assert read_run(folder, path, start, stop).equals(table.slice(start, stop - start))


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    path, _ = written(open_storage(tmp_path))
    file = tmp_path / path
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"unit\.arrow is damaged \(.*\); delete its step's folder and run again"):
        read_run(open_storage(tmp_path), path, 0, 1)
