"""Text comes out whatever a page says about its encoding."""

from __future__ import annotations

import pytest

from pipelines.crawl.decode import decode

PERSIAN = "درد معده و سوزش آن در شب بیشتر می‌شود و با غذا کم می‌شود"
OLD = PERSIAN.replace("ی", "ي").replace("\u200c", "")  # windows-1256 has no Persian yeh


@pytest.mark.parametrize(
    ("body", "header", "text", "charset"),
    [
        (PERSIAN.encode(), "text/html; charset=utf-8", PERSIAN, "utf-8"),
        (PERSIAN.encode(), "text/html", PERSIAN, "utf-8"),
        (PERSIAN.encode(), "text/html; charset=iso-8859-1", PERSIAN, "utf-8"),
        (b"\xef\xbb\xbf" + PERSIAN.encode(), "text/html", PERSIAN, "utf-8"),
        (PERSIAN.encode("utf-16"), "text/html", PERSIAN, "utf-16-le"),
        (OLD.encode("cp1256"), "text/html; charset=windows-1256", OLD, "cp1256"),
        (b'<meta charset="windows-1256">' + OLD.encode("cp1256"), "text/html", '<meta charset="windows-1256">' + OLD, "cp1256"),
        (OLD.encode("cp1256"), "text/html", OLD, "cp1256"),
        (OLD.encode("cp1256"), "text/html; charset=utf-8", OLD, "cp1256"),
    ],
)
def test_the_text_is_right(body: bytes, header: str, text: str, charset: str) -> None:
    found = decode(body, header)
    assert (found.text, found.charset, found.replaced) == (text, charset, 0)


def test_broken_bytes_are_replaced_and_counted() -> None:
    body = PERSIAN.encode() + b" \xff\xfe " + PERSIAN.encode()
    found = decode(body, "text/html; charset=utf-8")
    assert found.replaced == 2
    assert found.text == f"{PERSIAN} \ufffd\ufffd {PERSIAN}"
