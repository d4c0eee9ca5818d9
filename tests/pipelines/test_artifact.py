"""Artifacts: sealed units, content digests, what is finished and what is not."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import UserError
from cluster.storage import open_storage
from pipelines.artifact import MANIFEST, Artifact, ArtifactFolder, Input
from pipelines.tables import RowsDigest, Table

NOTES = Table("notes", pa.schema([("text", pa.string()), ("seconds", pa.float64())]), volatile=frozenset({"seconds"}))
WORKING = Table("working", pa.schema([("text", pa.string())]))


def notes(*texts: str, seconds: float = 0.0) -> pa.Table:
    return NOTES.table([{"text": text, "seconds": seconds} for text in texts])


def folder(path: Path) -> ArtifactFolder:
    return ArtifactFolder(open_storage(path))


def finish(out: ArtifactFolder, **options: object) -> Artifact:
    return out.finish(step="s", version=1, settings={}, inputs={"x": Input(digest="d")}, tables=(NOTES,), started=0.0, **options)  # type: ignore[arg-type]


def test_without_its_manifest_an_artifact_is_not_finished(tmp_path: Path) -> None:
    out = folder(tmp_path / "f")
    out.seal("u1", {NOTES: notes("a")})
    assert Artifact.load(out.folder) is None
    finish(out)
    loaded = Artifact.load(out.folder)
    assert loaded is not None
    assert loaded.read(NOTES)["text"].to_pylist() == ["a"]


def test_counts_of_the_units_add_up(tmp_path: Path) -> None:
    out = folder(tmp_path / "f")
    out.seal("u1", {NOTES: notes("a", "b")}, rows_in=5, dropped={"short": 3}, facts={"tokens": 10})
    out.seal("u2", {NOTES: notes("c")}, rows_in=2, dropped={"short": 1}, facts={"tokens": 5})
    manifest = finish(out).manifest
    assert (manifest.rows_in, manifest.rows_out, manifest.dropped, manifest.facts) == (7, 3, {"short": 4}, {"tokens": 15})


def test_the_digest_knows_rows_not_their_order_units_or_times(tmp_path: Path) -> None:
    one, two, other = folder(tmp_path / "1"), folder(tmp_path / "2"), folder(tmp_path / "3")
    one.seal("u1", {NOTES: notes("a", "b", "c", seconds=1)})
    two.seal("x", {NOTES: notes("c", seconds=2)})
    two.seal("y", {NOTES: notes("b", "a", seconds=3)})
    other.seal("u1", {NOTES: notes("a", "b", "b", seconds=1)})
    assert finish(one).digest == finish(two).digest
    assert finish(other).digest != finish(one).digest


def test_working_tables_and_strays_are_swept(tmp_path: Path) -> None:
    out = folder(tmp_path / "f")
    out.seal("map", {WORKING: WORKING.table([{"text": "a"}])})
    out.seal("final", {NOTES: notes("a")})
    out.folder.write("notes/half-written.parquet", b"left by a killed run")
    finish(out, units=["final"])
    assert [p for p in out.folder.list() if not p.startswith(".units/")] == [MANIFEST, "notes/final.parquet"]


def test_an_empty_table_still_shows_its_schema(tmp_path: Path) -> None:
    out = folder(tmp_path / "f")
    out.seal("u1", {NOTES: notes()})
    artifact = finish(out)
    assert artifact.shards(NOTES) == ["notes/empty.parquet"]
    assert artifact.read(NOTES).schema.names == ["text", "seconds"]


def test_a_damaged_shard_and_a_damaged_manifest_say_what_to_do(tmp_path: Path) -> None:
    out = folder(tmp_path / "f")
    out.seal("u1", {NOTES: notes("a")})
    artifact = finish(out)
    out.folder.write("notes/u1.parquet", b"\x00" * 50)
    with pytest.raises(UserError, match="damaged.*run again"):
        artifact.read(NOTES)
    out.folder.write(MANIFEST, b"{ not json")
    with pytest.raises(UserError, match="damaged.*run again"):
        Artifact.load(out.folder)


def test_volatile_files_are_kept_but_stay_out_of_the_digest(tmp_path: Path) -> None:
    digests = set()
    for text in ("monday", "tuesday"):
        out = folder(tmp_path / text)
        out.folder.write("page/index.html", text.encode())
        out.folder.write("data/report.json", b"{}")
        artifact = finish(out, files=("page", "data"), volatile_files=("page",))
        assert set(artifact.manifest.files) == {"page/index.html", "data/report.json"}
        digests.add(artifact.digest)
    assert len(digests) == 1


_rows = st.lists(st.fixed_dictionaries({"text": st.text(), "n": st.none() | st.integers()}))


@given(rows=_rows, seed=st.randoms())
def test_the_row_digest_ignores_order_and_batching(rows: list[dict[str, object]], seed: object) -> None:
    whole, parts = RowsDigest(), RowsDigest()
    whole.add(rows)
    shuffled = list(rows)
    seed.shuffle(shuffled)  # type: ignore[attr-defined]
    for row in shuffled:
        one = RowsDigest()
        one.add([row])
        parts.merge(one)
    assert (whole.hex(), whole.rows) == (parts.hex(), parts.rows)


@given(rows=_rows.filter(bool))
def test_the_row_digest_sees_a_row_more(rows: list[dict[str, object]]) -> None:
    one, two = RowsDigest(), RowsDigest()
    one.add(rows)
    two.add([*rows, rows[0]])
    assert one.hex() != two.hex()
