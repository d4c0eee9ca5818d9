"""A source that needs no crawl: a YAML file that names data files, or a dataset of the hub, and their columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from cluster.errors import UserError
from pipelines.settings import Settings, execution
from serving.engines.hub import HubId

# Of each kind: the columns that a row can't be without. By which names a column is found that nobody named.
NEEDED = {"article": ("text",), "qa": ("question", "answer")}
USUAL = {"text": ("text", "content"), **{role: (role,) for role in ("question", "answer", "title", "url", "source")}}


class Columns(Settings):
    """Which column holds what. What is left empty is looked for by its usual name."""

    question: str = ""
    answer: str = ""
    text: str = ""
    title: str = ""
    url: str = ""
    source: str = ""  # where a row came from before it was in the file; without it, the source's name
    date: str = ""  # of publication


class FileSource(Settings):
    """`files`: paths, patterns or run-storage URLs; with `hub`, patterns inside the dataset."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    kind: Literal["article", "qa"]
    files: list[str] = []
    hub: str = ""  # owner/dataset
    revision: str = ""  # branch, tag or commit of the dataset; empty: its main branch as it is when the run starts
    columns: Columns = Columns()
    numbered: bool = False  # rows are known by their number in the file, also where they have a URL
    origin: str = execution("")  # where the files come from, and under which licence

    @field_validator("hub")
    @classmethod
    def _is_dataset(cls, hub: str) -> str:
        parsed = HubId.parse(hub) if hub else None
        if hub and (parsed is None or parsed.revision):
            raise ValueError("write owner/dataset, and which revision in a key of its own")
        return hub

    @model_validator(mode="after")
    def _fits_together(self) -> FileSource:
        if not self.files and not self.hub:
            raise ValueError("give files or hub")
        if self.revision and not self.hub:
            raise ValueError("revision belongs to hub, and there is none")
        if self.hub and (paths := [file for file in self.files if file.startswith((".", "/", "~")) or _is_url(file)]):
            raise ValueError(f"with hub, files are patterns inside the dataset, and {paths[0]!r} is none; give either")
        if foreign := [role for role in Columns.model_fields if role not in self._roles and getattr(self.columns, role)]:
            raise ValueError(f"a source of kind {self.kind} has no column {foreign[0]}; it has {', '.join(self._roles)}")
        return self

    @property
    def _roles(self) -> tuple[str, ...]:
        """What columns may hold."""
        return (*NEEDED[self.kind], "title", "url", "source", *(("date",) if self.kind == "article" else ()))

    def beside(self, folder: Path) -> FileSource:
        """The same with its relative paths below this folder."""
        if self.hub:
            return self
        files = [file if _is_url(file) else str(folder.absolute() / Path(file).expanduser()) for file in self.files]
        return self.model_copy(update={"files": files})

    def extract_identity(self) -> dict[str, Any]:
        """What decides how rows are read. Files and commits count by content, wherever they lie."""
        patterns = self.files if self.hub else []
        named = {"kind": self.kind, "hub": self.hub, "files": patterns, "numbered": self.numbered}
        return named | {"columns": self.columns.identity()}

    def columns_in(self, path: Path, there: list[str]) -> dict[str, str]:
        """The columns of a file by what they hold. Raises UserError for one that is named or needed and not there."""
        found = {}
        for role in self._roles:
            named = getattr(self.columns, role)
            names = (named,) if named else USUAL.get(role, ())
            if column := _find(names, there):
                found[role] = column
            elif named or role in NEEDED[self.kind]:
                missing = f"{named!r}" if named else f"{' or '.join(names)} (name it in columns.{role})"
                raise UserError(f"source {self.name}: {path} has no column {missing}; its columns are {', '.join(there)}")
        return found


def _find(names: tuple[str, ...], there: list[str]) -> str:
    """The first column with one of these names; upper and lower case count only where they decide between two."""
    for name in names:
        alike = [column for column in there if column.strip().casefold() == name.strip().casefold()]
        if alike:
            return name if name in alike else alike[0]
    return ""


def _is_url(file: str) -> bool:
    return "://" in file
