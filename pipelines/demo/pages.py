"""What a site answers with, and how its templates are rendered (about 0.1 ms a page)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Protocol

from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Path(__file__).parent / "templates"
HTML = "text/html; charset=utf-8"
TEXT = "text/plain; charset=utf-8"
XML = "application/xml; charset=utf-8"
JSON = "application/json; charset=utf-8"
JAVASCRIPT = "text/javascript; charset=utf-8"


@dataclass(frozen=True)
class Ask:
    """A request as a site sees it: decoded path, query, header fields by lower-case name, and the target as sent."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    target: str


@dataclass(frozen=True)
class Reply:
    """An answer: status, body in bytes, extra header fields, seconds to wait before it is sent."""

    body: bytes
    status: int = 200
    content_type: str = HTML
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0


class Site(Protocol):
    """One site: its name on the web and how it answers."""

    name: str

    def answer(self, ask: Ask) -> Reply: ...


def text(body: str, content_type: str = TEXT, status: int = 200) -> Reply:
    return Reply(body.encode(), status, content_type)


def redirect(location: str) -> Reply:
    return Reply(b"", 302, headers={"Location": location})


def render(template: str, **values: object) -> str:
    """The text of a template; an undefined name is an error."""
    return _environment().get_template(template).render(**values)


def html(template: str, status: int = 200, **values: object) -> Reply:
    return text(render(template, **values), HTML, status)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "sort_keys": True}
    return environment
