"""Which option a generated answer names: a pure function over strings, about 0.1 ms an answer.

The rules run from the most to the least explicit, and the first that names an option decides: the first line is a
label; a sentence says that X is the right answer (the last such sentence, since models reason first); the answer opens
with a label; the first sentence holds one label; one option is called right; only one label appears; the text of one
option stands for the answer. What none of them can read, or what chooses several, is "invalid" and counts as wrong.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

INVALID = "invalid"
LETTERS = "ABCD"
SHORT = 250  # characters; in a longer answer the text of an option may be part of the reasoning

_NAMES = {"الف": "A", "ا": "A", "ب": "B", "ج": "C", "د": "D", "1": "A", "2": "B", "3": "C", "4": "D"}
_NAMES |= {"اول": "A", "دوم": "B", "سوم": "C", "چهارم": "D"}

_FOLD = str.maketrans("يكىةۀأإآ۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩", "یکیههااا01234567890123456789", "\u0654")
_SPACE = re.compile(r"[ \t\u00a0\u200c-\u200f\u202a-\u202e]+")
_MARKUP = re.compile(r"[*_`#\"'«»“”]+|<\|?/?\w+\|?>?")
_SENTENCE_END = re.compile(r"(?<=\S)[.!؟?]\s|\n")

_ANY = r"(?:[A-D]|الف|ا|ب|ج|د|[1-4])"
_BRACKETED = rf"[\[({{]\s*(?:گزینه\s*)?({_ANY})\s*[\])}}]"
_BARE = rf"(?<!\w)({_ANY})(?!\w|[.,]\d|-\w)"
_LATIN = r"(?<!\w)([A-D])(?!\w|-\w)"
_OR_MORE = r"(?!\s*(?:و|یا|and|or|,|،|/)\s*[\[(]?(?:[A-D]|الف|ب|ج|د)(?!\w))"
_OPTION = r"(?:گزینه(?: ?ی)?|مورد|انتخاب|حرف|option|choice)"
_RIGHT = r"(?<!\w)(?:صحیح|درست|صادق|مناسب|بهترین|محتمل|correct|best|right)(?! نیست|\w* نیست)"


def _compile(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_HEADING = _compile(r"^(?:پاسخ|جواب|answer)\s*:\s*\n+\s*")
_WHOLE = _compile(rf"^(?:(?:پاسخ|جواب|answer|{_OPTION})\W*)*[\[(]?\s*({_ANY}|اول|دوم|سوم|چهارم)\s*[\])]?[\s.:)\-،]*$")
_GAP = r"(?:(?!(?<!\w)[A-D](?!\w))[^.\n\[\]()])"  # no other label on the way to the label
_STATED_RIGHT = _compile(
    rf"(?:پاسخ|جواب|{_OPTION}) (?:صحیح|درست){_GAP}{{0,40}}?(?::\s*)?(?:{_BRACKETED}|{_LATIN}\]?){_OR_MORE}"
    rf"|(?:{_BRACKETED}|{_LATIN})[^.\n\[]{{0,60}} پاسخ (?:صحیح|درست) است"
)
_STATED = _compile(
    rf"(?:پاسخ|جواب|answer){_GAP}{{0,70}}?(?:{_BRACKETED}|{_LATIN}\]?){_OR_MORE}"
    rf"|(?:پاسخ|جواب|answer)[^.\n\[\]()]{{0,40}}?(?:{_OPTION}|است(?: که)?|صحیح|درست|=|:) ?:? ?{_BARE}{_OR_MORE}"
    rf"|(?:=|حرف)\s*{_BARE}\s*\]?\s*(?:\.|$)"
)
_LEFT_OPEN = _compile(r"(?:پاسخ|جواب)(?: پاسخ)?(?: این)?(?: است| خواهد بود)?(?: که)?[ :]*(?:پایان(?: جمله)?|:)[ .:!<]*$")
_OPENING = _compile(rf"^(?:{_OPTION}\s*)?(?:{_BRACKETED}|({_ANY})\s*[.):\-،](?!\d)){_OR_MORE}")
_CALLED_RIGHT = _compile(
    rf"{_OPTION}\s*:?\s*(?:{_BRACKETED}|{_BARE})[^.\n\[]{{0,80}}?{_RIGHT}|{_RIGHT}[^.\n\[]{{0,40}}{_OPTION}\s*:?\s*(?:{_BRACKETED}|{_BARE})"
)
_LATIN_WORD = re.compile(r"[A-Za-z]{2,}")
_LABEL = _compile(rf"{_BRACKETED}|{_OPTION}\s*:?\s*{_BARE}")


def extract_answer(text: str, options: Sequence[str]) -> str:
    """The letter (A-D) that `text` gives as its answer, or "invalid"."""
    answer = _HEADING.sub("", normalise(text))
    for rule in RULES:
        if letter := rule(answer):
            return letter
    return _option_text(answer, [normalise(option).strip(" .؟?!،") for option in options]) or INVALID


def normalise(text: str) -> str:
    """One spelling of Persian letters and digits; no markup, no direction marks, single spaces."""
    return _SPACE.sub(" ", _MARKUP.sub("", text.translate(_FOLD))).strip()


def _labels(pattern: re.Pattern[str], text: str) -> list[str]:
    names = (next(group for group in match.groups() if group) for match in pattern.finditer(text))
    return [_NAMES.get(name) or name.upper() for name in names]


def _whole(answer: str) -> str | None:
    return next(iter(_labels(_WHOLE, answer.split("\n", 1)[0])), None)


def _stated_right(answer: str) -> str | None:
    return next(reversed(_labels(_STATED_RIGHT, answer)), None)


def _stated(answer: str) -> str | None:
    return next(reversed(_labels(_STATED, answer)), None)


def _left_open(answer: str) -> str | None:
    """A closing "so the answer is:" with nothing after it: whatever was weighed before is no answer."""
    return INVALID if _LEFT_OPEN.search(answer) else None


def _opening(answer: str) -> str | None:
    return next(iter(_labels(_OPENING, answer)), None)


def _listing(answer: str) -> str | None:
    """Two lines at the beginning that open with different labels: the options again, as base models write them."""
    lines = [line.strip() for line in answer.split("\n") if line.strip()][:2]
    opened = [label for line in lines for label in _labels(_OPENING, line)[:1]]
    return INVALID if len(set(opened)) == 2 else None


def _called_right(answer: str) -> str | None:
    return _only(_labels(_CALLED_RIGHT, answer))


def _first_sentence(answer: str) -> str | None:
    return _only(_labels(_LABEL, _SENTENCE_END.split(answer, maxsplit=1)[0]))


def _only_label(answer: str) -> str | None:
    return _only(_labels(_LABEL, answer))


def _only(found: list[str]) -> str | None:
    return found[0] if len(set(found)) == 1 else None


def _option_text(answer: str, options: Sequence[str]) -> str | None:
    """The option whose text stands in a short answer or in the first sentence, where no other does.

    An option inside a longer one that also stands there is not counted.
    """
    where = answer if len(answer) <= SHORT else _SENTENCE_END.split(answer, maxsplit=1)[0]
    foreign = set(_LATIN_WORD.findall(where)) - set(_LATIN_WORD.findall(" ".join(options)))
    if foreign:  # a model that translates or explains the option, not one that chooses it
        return None
    found = [i for i, option in enumerate(options) if option and option in where]
    longest = [i for i in found if not any(i != j and options[i] in options[j] for j in found)]
    return LETTERS[longest[0]] if len(longest) == 1 else None


RULES = (_whole, _left_open, _stated_right, _stated, _listing, _opening, _first_sentence, _called_right, _only_label)
