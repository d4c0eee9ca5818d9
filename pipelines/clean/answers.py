"""Is a question-answer pair worth learning from? 15 µs a pair.

Each rule is a function of the answer and the thresholds that returns the reason for a drop, or None. What only all answers
together can tell is in `boilerplate.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from pipelines.clean.normalise import count_words
from pipelines.clean.paper_words import may_join, paper_words
from pipelines.clean.settings import PairRules
from pipelines.clean.zwnj import ZWNJ

LONGEST_COURTESY = 60  # words: no answer that is longer is nothing but greetings and referrals
LONGEST_REFERRAL = 15  # words in a sentence that says to see a doctor and nothing else

COURTESY = frozenset(
    "سلام درود علیکم وقت وقتتون وقتتان بخیر روز روزتون شب صبح عصر شما عزیز عزیزم دوست گرامی کاربر محترم خانم آقا هموطن جان"
    " ممنون ممنونم متشکرم سپاس سپاسگزارم تشکر مرسی خواهش میکنم می‌کنم موفق سلامت سالم شاد پیروز موید سربلند باشید باشین"
    " آرزوی سلامتی تندرستی برای برایتان دارم با و از بابت پرسش سوال پیام شما خسته نباشید انشاالله ان‌شاءالله انشالله لطفا"
    " لطفاً".split()
)
_WORD_END = " .،؛:!؟?…»«()\"'\n"
SENTENCE_END = re.compile(r"[.!؟?…\n][.!؟?…\n]*")  # twice as fast as with a plus: a class that comes first is looked for
_REFERRAL = re.compile(
    r"(?:پزشک|دکتر|متخصص|درمانگاه|اورژانس|بیمارستان|کلینیک|ماما).*(?:مراجعه|ویزیت|معاینه|مشورت|مشاوره|ببیند|ببینید|بروید|برید|نشان|صحبت)"
    r"|(?:مراجعه|ویزیت|معاینه|مشورت|مشاوره)\S* .*(?:پزشک|دکتر|متخصص|درمانگاه|اورژانس|بیمارستان|کلینیک|حضوری)"
)
_LATIN = re.compile(b"[A-Za-z@]|://")
_LINK = re.compile(r"://|@|www\.|[a-z0-9-]\.(?:com|ir|org|net)\b", re.IGNORECASE)
_FOREIGN_LETTER = r"[^\W\d_\u0600-\u06ff\u0750-\u077f\u08a0-\u08ff\ufb50-\ufdff\ufe70-\ufefc]"
_FOREIGN = re.compile(f"{_FOREIGN_LETTER}{_FOREIGN_LETTER}*")  # faster than with a plus where there is none
_LETTERS = re.compile(r"[^\W\d_]+")


def pair_problem(question: str, answer: str, rules: PairRules) -> str | None:
    """Why a normalised question-answer pair is dropped, if it is."""
    if count_parts(question) < rules.min_question_words:
        return "short-question"
    return next((reason for rule in _ANSWER_RULES if (reason := rule(answer, rules))), None)


def count_parts(text: str) -> int:
    """Words between white space or ZWNJ: `می شود` counts as it did before it had one spelling, as the authors counted."""
    return count_words(text) + text.count(ZWNJ)


def nothing_of_its_own(answer: str, rules: PairRules) -> str | None:
    """Greetings and thanks, or these and the advice to see a doctor."""
    if not rules.min_own_words or count_words(answer) > LONGEST_COURTESY:
        return None
    words = answer.split()
    referrals = [sentence for sentence in SENTENCE_END.split(answer) if _refers(sentence)]
    own = _own_words(words) - sum(_own_words(sentence.split()) for sentence in referrals)
    if own >= rules.min_own_words or 2 * own > len(words):  # a bare "two tablets" is short, and no greeting
        return None
    return "referral-only" if referrals else "greeting-only"


def link_spam(answer: str, rules: PairRules) -> str | None:
    if not _LATIN.search(answer.encode("ascii", "ignore")) or not _LINK.search(answer):  # the first is quick, and says no to most
        return None
    linked = sum(len(word) for word in answer.split() if _LINK.search(word))
    return "link-spam" if linked > rules.max_link_share * len(answer) else None


def other_script(answer: str, rules: PairRules) -> str | None:
    """Names of drugs and laboratory values are in Latin letters; half of an answer is not."""
    foreign = sum(map(len, _FOREIGN.findall(answer)))
    if not foreign or foreign <= rules.max_foreign_letters * sum(map(len, _LETTERS.findall(answer))):
        return None
    return "other-script"


def short_answer(answer: str, rules: PairRules) -> str | None:
    if count_parts(answer) - may_join(answer) >= rules.min_answer_words:
        return None
    return "short-answer" if paper_words(answer.replace(ZWNJ, " ")) < rules.min_answer_words else None


# The length comes last, so that an answer without content is counted as that and not as a short one.
_ANSWER_RULES: tuple[Callable[[str, PairRules], str | None], ...] = (nothing_of_its_own, link_spam, other_script, short_answer)


def _refers(sentence: str) -> bool:
    return len(sentence.split()) <= LONGEST_REFERRAL and bool(_REFERRAL.search(sentence))


def _own_words(words: list[str]) -> int:
    return sum(word.strip(_WORD_END) not in COURTESY for word in words)
