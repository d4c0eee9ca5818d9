"""The texts of the demo web, read once from YAML (about 0.1 s) and checked: a broken file is named, never skipped."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml

CONTENT = Path(__file__).parent / "content"
Row = TypeVar("Row", "Pair", "Post")


class ContentError(ValueError):
    """A content file of the demo web is not what it should be."""


@dataclass(frozen=True)
class Article:
    """An article of the magazine; `date` is when it was published."""

    slug: str
    title: str
    section: str
    date: datetime.date
    paragraphs: tuple[str, ...]

    @property
    def text(self) -> str:
        return "\n".join(self.paragraphs)


@dataclass(frozen=True)
class Pair:
    """A question and a doctor's answer of the forum."""

    id: int
    title: str
    topic: str
    question: str
    answer: str


@dataclass(frozen=True)
class Post:
    """A question and its answer on the JavaScript site."""

    id: int
    title: str
    question: str
    answer: str


@cache
def articles() -> tuple[Article, ...]:
    """The articles of the magazine, newest first."""
    found = [_article(path.stem, _load(path), path) for path in sorted((CONTENT / "articles").glob("*.yaml"))]
    return tuple(sorted(found, key=lambda article: (article.date, article.slug), reverse=True))


@cache
def oddities() -> dict[str, Article]:
    """Articles that are served in an odd way, by the way (`english`, `slow`, ...)."""
    path = CONTENT / "oddities.yaml"
    rows = _load(path)
    return {kind: _article(row.get("slug", ""), row, path) for kind, row in rows.items()}


@cache
def forum() -> tuple[Pair, ...]:
    """The pairs of the forum by id, 1 to n."""
    files = sorted((CONTENT / "forum").glob("*.yaml"))
    rows = [Pair(**_checked(row, Pair, path)) for path in files for row in _load(path)]
    return tuple(_numbered(rows, CONTENT / "forum"))


@cache
def posts() -> tuple[Post, ...]:
    """The posts of the JavaScript site by id, 1 to n."""
    path = CONTENT / "app" / "posts.yaml"
    return tuple(_numbered([Post(**_checked(row, Post, path)) for row in _load(path)], path))


def _load(path: Path) -> Any:
    with path.open("rb") as file:
        return yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _article(slug: str, row: dict[str, Any], path: Path) -> Article:
    paragraphs = row.get("paragraphs")
    if not isinstance(paragraphs, list):
        raise ContentError(f"{path}: paragraphs must be a list of texts")
    return Article(**_checked({**row, "slug": slug, "paragraphs": tuple(paragraphs)}, Article, path))


def _checked(row: dict[str, Any], kind: type[Any], path: Path) -> dict[str, Any]:
    """The row, if it has exactly the fields of `kind` and none of them is empty or of another type."""
    types = {"id": int, "date": datetime.date, "paragraphs": tuple}
    wanted = {field.name for field in fields(kind)}
    if row.keys() != wanted:
        raise ContentError(f"{path}: a row has the keys {', '.join(row)} instead of {', '.join(sorted(wanted))}")
    for name, value in row.items():
        if not isinstance(value, types.get(name, str)) or not value:
            raise ContentError(f"{path}: {name} is {value!r}")
    if not all(isinstance(text, str) and text.strip() for text in row.get("paragraphs", ())):
        raise ContentError(f"{path}: every paragraph must be a text")
    return row


def _numbered(rows: Iterable[Row], path: Path) -> list[Row]:
    ordered = sorted(rows, key=lambda row: row.id)
    if [row.id for row in ordered] != list(range(1, len(ordered) + 1)):
        raise ContentError(f"{path}: the ids must be 1 to {len(ordered)}, each once")
    return ordered
