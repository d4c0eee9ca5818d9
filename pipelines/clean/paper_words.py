"""Counts words as the paper does: words and marks, the parts of a compound verb as one; 25 µs an answer.

The authors counted with hazm's `word_tokenize`: of the 9,172 distinct questions of one raw forum they published those 5,405
whose answer has at least 45 of its tokens, no more and no less. hazm tells verbs by a dictionary. Here a participle is a word
on -de or -te, as all of them are, which is enough: docs/cleaning.md compares the counts.
"""

from __future__ import annotations

import re

_MARKS = '،؛»\\])}"«\\[({/\\\\'
_TOKEN = re.compile(rf"[؟!?]+|[\d.:]+|[{_MARKS}]|[^\s؟!?\d.:{_MARKS}]+")
# No participles: present ones (konande), and nouns that an auxiliary may follow in writing ("a tablet a week").
_NOUNS = "هفته ماده معده روده غده پرده ساده عده توده نقطه رشته هسته نشاسته خسته لخته آماده استفاده مشاهده خانواده".split()
_PARTICIPLE = re.compile(rf"(?!(?:{'|'.join(_NOUNS)})$)\w*(?:(?<!ن)د|اند|ت)ه")

_PRESENT, _PAST = ("م", "ی", "د", "یم", "ید", "ند"), ("م", "ی", "", "یم", "ید", "ند")
_FUTURE = frozenset(f"{prefix}خواه{ending}" for prefix in ("", "ن") for ending in _PRESENT)
_AUXILIARIES = frozenset(
    ["ام", "ای", "است", "ایم", "اید", "اند"]
    + [f"{prefix}{stem}{ending}" for prefix in ("", "ن") for stem in ("بود", "شد") for ending in _PAST]
    + [f"{prefix}{stem}{ending}" for prefix in ("", "ن") for stem in ("باش", "شو") for ending in _PRESENT]
)
_PASSIVE = frozenset({"شده", "نشده"}) | _FUTURE  # auxiliaries themselves where one follows: `dide shode ast`


def paper_words(text: str) -> int:
    """Words and marks of a text. It may be raw: the paper counted before it normalised."""
    words = 0
    follows = ""  # the first word of the group that comes next, if a participle may join it
    for token in reversed(_TOKEN.findall(text)):
        joins = token in _FUTURE or (follows != "" and _PARTICIPLE.fullmatch(token) is not None)
        if joins and words:
            follows = token if token in _PASSIVE else ""
        else:
            words += 1
            follows = token if token in _AUXILIARIES else ""
    return words


def may_join(text: str) -> int:
    """At least as many words as `paper_words` counts less than there are between spaces; 2 µs."""
    return text.count("ه") + text.count("خواه")
