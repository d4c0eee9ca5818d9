"""Rows of data files: the same from every format, and one line about a file that can't be read."""

from __future__ import annotations

import csv
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster.errors import UserError
from pipelines.rows import column_names, read_rows

ROWS = [{"Question": "چرا سرم درد می‌کند؟", "Answer": 'آب بنوشید،\n"و" بخوابید, زود'}, {"Question": "تب؟", "Answer": None}]


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path)


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("\n\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_xlsx(path: Path, rows: list[dict[str, Any]]) -> None:
    book = openpyxl.Workbook()
    book.active.append(list(rows[0]))
    for row in rows:
        book.active.append(list(row.values()))
    book.save(path)


WRITERS = {".parquet": write_parquet, ".jsonl": write_jsonl, ".csv": write_csv, ".xlsx": write_xlsx}


@pytest.mark.parametrize(("suffix", "write"), WRITERS.items(), ids=WRITERS)
def test_every_format_gives_the_same_rows(tmp_path: Path, suffix: str, write: Callable[..., None]) -> None:
    path = tmp_path / f"qa{suffix.upper()}"
    write(path, ROWS)
    assert column_names(path) == ["Question", "Answer"]
    found = [{key: value or None for key, value in row.items()} for row in read_rows(path, ["Question", "Answer"])]
    assert found == ROWS


def test_of_a_wide_parquet_file_only_the_columns_that_are_wanted_are_read(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", ROWS)
    assert list(read_rows(tmp_path / "a.parquet", ["Answer"])) == [{"Answer": row["Answer"]} for row in ROWS]


def test_a_parquet_file_is_not_held_in_memory(tmp_path: Path) -> None:
    group = pa.table({"text": [os.urandom(1_000).hex() for _ in range(1_000)]})
    with pq.ParquetWriter(tmp_path / "a.parquet", group.schema) as writer:
        for _ in range(20):
            writer.write_table(group)
    before = pa.total_allocated_bytes()
    held = max(pa.total_allocated_bytes() - before for _ in read_rows(tmp_path / "a.parquet", ["text"]))
    assert held < (tmp_path / "a.parquet").stat().st_size / 2


def test_blank_rows_of_a_workbook_are_no_rows_and_what_comes_after_them_is(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in ["text"], ["a"], *[[None]] * 300, ["b"]:
        book.active.append(row)
    book.save(tmp_path / "a.xlsx")
    assert list(read_rows(tmp_path / "a.xlsx", ["text"])) == [{"text": "a"}, {"text": "b"}]


def test_a_workbook_that_says_it_is_smaller_than_it_is_is_read_whole(tmp_path: Path) -> None:
    write_xlsx(tmp_path / "right.xlsx", ROWS)
    with zipfile.ZipFile(tmp_path / "right.xlsx") as right, zipfile.ZipFile(tmp_path / "wrong.xlsx", "w") as wrong:
        for name in right.namelist():
            wrong.writestr(name, right.read(name).replace(b'<dimension ref="A1:B3"', b'<dimension ref="A1:A1"'))
    assert zipfile.ZipFile(tmp_path / "wrong.xlsx").read("xl/worksheets/sheet1.xml") != zipfile.ZipFile(
        tmp_path / "right.xlsx"
    ).read("xl/worksheets/sheet1.xml")
    assert list(read_rows(tmp_path / "wrong.xlsx", [])) == ROWS


def test_a_long_article_is_no_broken_csv(tmp_path: Path) -> None:
    text = "متن " * 100_000
    write_csv(tmp_path / "a.csv", [{"text": text}])
    assert list(read_rows(tmp_path / "a.csv", ["text"])) == [{"text": text}]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", "question,answer\nq,a\nq,one, two\n", "a.csv can't be read as .csv: line 3 has 3 fields, the header has 2"),
        ("a.csv", 'text\n"never closed\n', "unexpected end of data"),
        ("a.csv", "متن\nسلام".encode("cp1256"), "a.csv is not UTF-8 text"),
        ("a.jsonl", '{"a": 1}\n{"a": \n', "line 2 is not JSON"),
        ("a.jsonl", "[1]\n", "line 1 is not a JSON object"),
        ("a.parquet", "PAR1 no more", "a.parquet can't be read as .parquet"),
        ("a.xlsx", "PK no more", "a.xlsx can't be read as .xlsx"),
        ("a.pkl", "x", "unknown format '.pkl'; use one of .parquet, .jsonl, .csv, .xlsx"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path, name: str, content: str | bytes, words: str) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as caught:
        list(read_rows(path, column_names(path)))
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_workbook_without_its_parts_is_one_line(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w") as file:
        file.writestr("nothing", "")
    with pytest.raises(UserError, match=r"a\.xlsx can't be read as \.xlsx"):
        column_names(tmp_path / "a.xlsx")
