"""The visible text of a part of a page, a line for each block; ZWNJ stays, white space is folded (0.1 ms a page)."""

from __future__ import annotations

from selectolax.lexbor import LexborNode

BLOCKS = frozenset(
    "address article aside blockquote br dd details div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 "
    "header hr li main nav ol p pre section summary table tbody td tfoot th thead tr ul".split()
)
UNSEEN = frozenset("script style noscript template head title svg math iframe object button select textarea input".split())


def sound(text: str) -> str:
    """With U+FFFD for NUL and for lone surrogates, which neither Arrow nor every parser takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text.replace("\0", "\ufffd")


def text_of(node: LexborNode) -> str:
    """Paragraphs as lines, in the order of the page."""
    pieces: list[str] = []
    _collect(node, pieces)
    return tidy("".join(pieces))


def tidy(text: str) -> str:
    """White space folded, empty lines gone."""
    lines = map(one_line, text.split("\n"))
    return "\n".join(line for line in lines if line)


def one_line(text: str) -> str:
    """White space folded; ZWNJ (U+200C) is none."""
    return " ".join(text.split())


def _collect(root: LexborNode, pieces: list[str]) -> None:
    """Iterative, since pages may be nested deeper than Python's stack."""
    stack: list[tuple[LexborNode, bool]] = [(root, False)]
    while stack:
        node, is_end = stack.pop()
        tag = node.tag
        if is_end:
            pieces.append("\n")
        elif tag == "-text":
            pieces.append((node.text_content or "").replace("\n", " "))
        elif tag == "td" or tag == "th":
            pieces.append(" ")
            _descend(node, stack)
        elif tag in BLOCKS:
            pieces.append("\n")
            stack.append((node, True))
            _descend(node, stack)
        elif tag not in UNSEEN:
            _descend(node, stack)


def _descend(node: LexborNode, stack: list[tuple[LexborNode, bool]]) -> None:
    child = node.last_child
    while child is not None:
        stack.append((child, False))
        child = child.prev
