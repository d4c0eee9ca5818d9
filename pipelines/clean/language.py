"""Which language a text is in: py3langid limited to six languages, corrected where it is known to err; 5,000 texts/s.

py3langid knows a language by byte sequences, so it takes normalised Arabic (with Persian yeh and kaf) and short
Kurdish or Pashto for Persian. Letters that only these write, and words that only these use, decide there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

CANDIDATES = ("fa", "ar", "ur", "ps", "ku", "en")
READ = 800  # characters; more of a text does not change the answer
UNKNOWN = "unknown"  # no letters at all
OTHER = "other"  # another script
FINGLISH = "finglish"  # Persian in Latin letters

_LATIN_LETTERS = r"[A-Za-z\u00c0-\u024f]"
_ARABIC_LETTERS = "[\u0620-\u063f\u0641-\u064a\u0671-\u06d3\u06d5\u06fa-\u06ff]"
_LATIN, _LATIN_WORD = re.compile(_LATIN_LETTERS), re.compile(f"{_LATIN_LETTERS}+")
_ARABIC_SCRIPT, _ARABIC_WORD = re.compile(_ARABIC_LETTERS), re.compile(f"{_ARABIC_LETTERS}+")
_LETTER = re.compile(r"[^\W\d_]")
_URL = re.compile(r"(?:https?://|www\.)\S+|\S+@\S+")

_ONLY_IN = {  # letters of an alphabet that Persian does not write
    "ur": re.compile("[ٹڈڑںےہ]"),
    "ps": re.compile("[ټډړږښګڼېۍځڅ]"),
    "ku": re.compile("[ڕڵێۆڤ]"),
}
_OWN_LETTERS_SHARE = 0.03  # in real sentences of these languages they are 5-25% of the letters
_PERSIAN_LETTERS = re.compile("[پچژگ]")  # Arabic has none of them
_ARABIC_SPELLING = re.compile("[أإة]")  # Persian writes them in a few borrowed words only
_ARABIC_WORDS = frozenset(
    "فی علی الی إلی عن هذا هذه التی الذی ثم عند هو هی کان لم مع هل یمکن أن إن أو لدی أنا ذلک کیف منذ کل".split()
)
_PERSIAN_WORDS = frozenset(
    "که را رو است از به در این آن برای با شما تا یا هم اگر باید شود دارد می نمی یک سلام چه هست دارم کنید کنم های ها شده ولی هستم"
    " هستش هفته روز ماه بارداری میشه دوست عزیز خسته نباشید آیا ایا کردم شدم لازم خوب".split()
)
_PASHTO_WORDS = frozenset("د په دی چی او زما زه یی لری ته نه دا کی شی یم څه لپاره هم سره کوی".split())
_FINGLISH_WORDS = frozenset(
    "salam man mikham nemikham daram nadaram baraye chikar konam lotfan mamnon mamnoon khoob hast nist chera kheili kheyli dard "
    "sar shekam dokhtar pesar shodam shode kardam mishe nemishe mitoonam bayad aya ke az ro va dar ba ham rooz hafte mah "
    "sal doctor ghors masraf mikonam hamele barnmidare pezeshk chi merci bashe khastam begid age alan dokhtaram pesaram saalame"
    " salame".split()
)
_ENGLISH_WORDS = frozenset("the of and is to in for with that are this my i have it you be on or can was your not from a".split())


def language_of(text: str) -> str:
    """A code of CANDIDATES, FINGLISH, OTHER or UNKNOWN for a normalised text."""
    text = _URL.sub(" ", text[:READ])
    letters, latin, arabic = len(_LETTER.findall(text)), len(_LATIN.findall(text)), len(_ARABIC_SCRIPT.findall(text))
    if not letters:
        return UNKNOWN
    if max(latin, arabic) < letters / 2:
        return OTHER
    # Names of drugs and tests are Latin in the shortest Persian question: words count here, not letters.
    if len(_LATIN_WORD.findall(text)) > len(_ARABIC_WORD.findall(text)):
        return _latin_script(text)
    return _arabic_script(text, arabic)


def _latin_script(text: str) -> str:
    words = re.findall(r"[a-z']+", text.lower())
    finglish, english = _share(words, _FINGLISH_WORDS), _share(words, _ENGLISH_WORDS)
    if finglish > english:
        return FINGLISH
    code: str = _identifier().classify(text)[0]
    return "ku" if code == "ku" and not english else "en"


def _arabic_script(text: str, letters: int) -> str:
    for other, own in _ONLY_IN.items():
        if len(own.findall(text)) >= max(2, _OWN_LETTERS_SHARE * letters):
            return other
    words = text.replace("\u200c", " ").split()
    persian = _share(words, _PERSIAN_WORDS) + 2 * len(_PERSIAN_LETTERS.findall(text)) / letters
    with_article = sum(word.startswith(("ال", "وال", "بال", "لل")) and len(word) > 4 for word in words) / max(1, len(words))
    arabic = _share(words, _ARABIC_WORDS) + with_article + 2 * len(_ARABIC_SPELLING.findall(text)) / letters
    if arabic > persian and arabic > 0.15:
        return "ar"
    if _share(words, _PASHTO_WORDS) > 0.25 > persian:
        return "ps"
    code: str = _identifier().classify(text)[0]
    # Whatever else the classifier says of a text without other alphabets' letters, it is Persian.
    return code if code == "ar" and arabic > persian else "fa"


def _share(words: list[str], known: Iterable[str]) -> float:
    return sum(word in known for word in words) / len(words) if words else 0.0


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(CANDIDATES)
    return identifier
