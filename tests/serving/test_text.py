"""Tokens become text while they arrive, and stop strings never show."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from serving.engines.models import encode_prompt, load_tokenizer
from serving.text import StopFilter, TextStream
from tests.tiny_models import SENTENCES


def test_text_that_arrives_token_by_token_is_the_whole_text(cohere: Path) -> None:
    tokenizer = load_tokenizer(cohere)
    text = SENTENCES[4] + " 😀 " + SENTENCES[13]  # the emoji is several tokens, each no character by itself
    prompt, ids = encode_prompt(tokenizer, SENTENCES[0]), tokenizer(text, add_special_tokens=False).input_ids
    stream = TextStream(tokenizer, prompt)
    pieces = [stream.add([token]) for token in ids]
    assert "".join(pieces) + stream.rest() == text
    assert not any("\ufffd" in piece for piece in pieces)


def test_special_tokens_are_no_text(cohere: Path) -> None:
    tokenizer = load_tokenizer(cohere)
    stream = TextStream(tokenizer, encode_prompt(tokenizer, "سلام"))
    assert stream.add([tokenizer.eos_token_id]) == ""


@given(text=st.text("abx", max_size=40), stops=st.lists(st.text("abx", min_size=1, max_size=4), max_size=3), data=st.data())
def test_a_stop_string_ends_the_text_before_it_however_it_is_cut(text: str, stops: list[str], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    stream, shown = StopFilter(stops), ""
    for piece in pieces:
        shown += stream.add(piece)
        if stream.stopped:
            break
    shown += stream.rest()
    assert not any(stop in shown for stop in stops)
    assert text.startswith(shown)
    assert stream.stopped == any(stop in text for stop in stops)
    assert stream.stopped or shown == text


def test_text_is_not_held_back_longer_than_needed() -> None:
    stream = StopFilter(["\n\n"])
    assert stream.add("first\n") == "first"
    assert stream.add("second") == "\nsecond"
