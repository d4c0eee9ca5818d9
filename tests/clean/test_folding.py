"""Folding many texts at once is folding each."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from pipelines.clean.folding import fold, fold_all, spell_all, spellings
from pipelines.clean.normalise import normalise

PERSIAN = st.text(st.sampled_from("آبپتةئؤیک\u200cـ ًّ۱٤5A_.،؟\n😀𐐀İΣ"), max_size=30)


@given(st.lists(st.one_of(PERSIAN, st.text(max_size=20)), max_size=6))
@example(["", " ", "سلام\n\n دنیا ", "\u200c", "آ\u200cب", "ΑΣ", "😀"])
def test_many_at_once(texts: list[str]) -> None:
    clean = [normalise(text) for text in texts]
    assert fold_all(clean) == [fold(text) for text in clean]
    assert spell_all(clean) == [spellings(text) for text in clean]


def test_ways_of_writing_are_one() -> None:
    assert fold_all(["می\u200cشودِ ۱۲ مؤثر!", "میشود 12 موثر"]) == ["میشود 12 موثر"] * 2
