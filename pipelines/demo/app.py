"""The JavaScript-only site: an empty shell, a script, and an API that wants a token which the script computes."""

from __future__ import annotations

import json

from pipelines.demo.content import posts
from pipelines.demo.pages import JAVASCRIPT, JSON, TEMPLATES, Ask, Reply, html, text

PER_PAGE = 10
TOKEN_HEADER = "x-demo-token"


class App:
    """app.demo.test"""

    name = "app.demo.test"
    origin = f"http://{name}"

    def __init__(self) -> None:
        self.posts = {post.id: post for post in posts()}

    def answer(self, ask: Ask) -> Reply:
        section, _, rest = ask.path.strip("/").partition("/")
        if ask.path == "/robots.txt":
            return text("User-agent: *\nAllow: /\n")
        if ask.path == "/app.js":
            return text((TEMPLATES / "app.js").read_text(encoding="utf-8"), JAVASCRIPT)
        if section == "api":
            return self.api(ask, rest)
        if section == "" or (section == "post" and self.known(rest)):
            return html("app.html.j2", origin=self.origin)
        return html("app.html.j2", 404, origin=self.origin)

    def api(self, ask: Ask, name: str) -> Reply:
        if ask.headers.get(TOKEN_HEADER) != token(ask.target):
            return _json({"error": "forbidden"}, 403)
        kind, _, id = name.partition("/")
        page = ask.query.get("page", "1")
        if kind == "posts" and not id and page.isdecimal():
            return _json(self.list_part(int(page)))
        if kind == "post" and self.known(id):
            post = self.posts[int(id)]
            return _json({"title": post.title, "question": post.question, "answer": post.answer})
        return _json({"error": "not found"}, 404)

    def known(self, id: str) -> bool:
        return id.isdecimal() and int(id) in self.posts

    def list_part(self, page: int) -> dict[str, object]:
        rows = list(self.posts.values())
        shown = rows[max(page - 1, 0) * PER_PAGE : max(page, 0) * PER_PAGE]
        return {"items": [{"id": post.id, "title": post.title} for post in shown], "more": page * PER_PAGE < len(rows)}


def token(target: str) -> str:
    """32-bit FNV-1a of the request target, in hexadecimal; app.js computes the same."""
    value = 0x811C9DC5
    for byte in target.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return f"{value:08x}"


def _json(value: object, status: int = 200) -> Reply:
    return text(json.dumps(value, ensure_ascii=False), JSON, status)
