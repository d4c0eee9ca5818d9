"""Writes what clean left as a Hugging Face dataset folder: Parquet by config and split, pictures, and last of all the card.

One pass over the shards writes and counts; in memory are a shard, a file of each split, and numbers. The same data,
settings and salt leave the same bytes, so a killed publication is written again over what it had left.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.artifact import Artifact
from pipelines.progress import Progress
from pipelines.publish.card import card
from pipelines.publish.files import SplitFiles
from pipelines.publish.identifiers import salt_of, salted
from pipelines.publish.pictures import pictures
from pipelines.publish.publication import Publication
from pipelines.publish.settings import PublishSettings
from pipelines.publish.target import CARD
from pipelines.statistics.describe import descriptions
from pipelines.statistics.funnel import funnel
from pipelines.statistics.tokens import CountTokens, is_here, token_counter
from pipelines.tables import CORPUS, LINEAGE, PAIRS, Table

CONFIGS = {CORPUS: "corpus", PAIRS: "qa"}
SPLITS = {"train": "train", "valid": "validation", "test": "test"}  # ours, and as the Hub calls them


def publish(publication: Publication, progress: Progress) -> bool:
    """Write it; False when it was finished before. Raises UserError for a folder that holds something else, StorageFull."""
    if publication.is_finished():
        return False
    clean, settings = publication.clean, publication.settings
    counted = descriptions(clean, counter(publication), settings.token_texts)
    publication.claim()
    shards = [(table, path) for table in CONFIGS for path in clean.shards(table)]
    dataset = Dataset(publication, salt_of(publication.root))
    progress.total(len(shards))
    for table, path in shards:
        rows = clean.read_shard(path)
        counted[table].add(rows.to_pylist())
        dataset.add(table, rows, _urls(clean, path) if settings.include_url and rows.num_rows else {})
        progress.advance()
    splits, dropped = dataset.close(), funnel(clean)
    numbers = {CONFIGS[table]: description.numbers() for table, description in counted.items()}
    for name, picture in pictures(numbers, dropped).items():
        publication.folder.write(name, picture)
    publication.folder.write(CARD, card(publication, numbers, splits, dropped).encode())
    return True


@dataclass
class Dataset:
    """The Parquet files of a publication. A split without rows has none: `datasets` refuses to load it."""

    publication: Publication
    salt: bytes
    files: dict[tuple[Table, str], SplitFiles] = field(default_factory=dict)

    def add(self, table: Table, rows: pa.Table, urls: dict[str, str]) -> None:
        """Rows of a shard of the clean artifact, each to its split, under its published id."""
        columns = {name: rows[name] for name in schema(table, self.publication.settings).names if name in rows.column_names}
        names = rows["id"].to_pylist()
        columns["id"] = pa.array([salted(name, self.salt) for name in names], pa.string())
        if self.publication.settings.include_url:
            columns["url"] = pa.array([urls.get(name) for name in names], pa.string())
        published = pa.table(columns, schema=schema(table, self.publication.settings))
        for split in pc.unique(rows["split"]).to_pylist():
            self._of(table, split).add(published.filter(pc.equal(rows["split"], split)))

    def close(self) -> dict[str, list[str]]:
        """Write what waits; the splits of every config that has rows."""
        for files in self.files.values():
            files.close()
        found = {CONFIGS[table]: [SPLITS[split] for split in SPLITS if (table, split) in self.files] for table in CONFIGS}
        return {config: splits for config, splits in found.items() if splits}

    def _of(self, table: Table, split: str) -> SplitFiles:
        if (table, split) not in self.files:
            prefix = f"{CONFIGS[table]}/{SPLITS[split]}"
            self.files[table, split] = SplitFiles(self.publication.folder, prefix)
        return self.files[table, split]


def schema(table: Table, settings: PublishSettings) -> pa.Schema:
    """Columns of a config: those of the clean table without its split, and the page's address where the recipe says so."""
    columns = [column for column in table.schema if column.name != "split"]
    return pa.schema([*columns, pa.field("url", pa.string())] if settings.include_url else columns)


def counter(publication: Publication) -> CountTokens | None:
    """None where tokens are not asked for, or where the recipe's own tokenizer would have to be downloaded for it."""
    settings, model = publication.settings, publication.settings.tokenizer or publication.recipe.model
    return token_counter(model) if settings.token_texts and (settings.tokenizer or is_here(model)) else None


def _urls(clean: Artifact, path: str) -> dict[str, str]:
    """The pages of a shard's rows, by id: the lineage of a shard lies in the shard of the same name."""
    lineage = clean.read_shard(f"{LINEAGE.name}/{PurePosixPath(path).name}", ["id", "url"])
    return dict(zip(lineage["id"].to_pylist(), lineage["url"].to_pylist(), strict=True))
