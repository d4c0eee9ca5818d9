"""Each rule for pairs drops what it names, and nothing that a physician has written out."""

from __future__ import annotations

import pytest

from pipelines.clean.answers import pair_problem
from pipelines.clean.settings import CleanSettings, PairRules

QUESTION = "چرا سرم درد می‌کند؟"
ADVICE = (
    "سلام دوست عزیز. سردرد میگرنی اغلب یک‌طرفه و ضربان‌دار است و با نور و صدا بدتر می‌شود. قرص سوماتریپتان 50 mg در آغاز حمله و "
    "ناپروکسن 500 mg در صورت نبود زخم معده کمک می‌کند. خواب منظم، آب کافی و دوری از پنیر کهنه مهم است. اگر بیش از سه روز ماند به "
    "متخصص مغز و اعصاب مراجعه کنید. موفق باشید."
)
RULES = PairRules()


def test_advice_is_kept() -> None:
    assert pair_problem(QUESTION, ADVICE, RULES) is None


@pytest.mark.parametrize(
    ("reason", "answer"),
    [
        ("greeting-only", "سلام دوست عزیز، ممنون از شما. موفق باشید."),
        ("greeting-only", "خواهش می‌کنم"),
        ("referral-only", "سلام. لطفاً به پزشک متخصص زنان مراجعه کنید."),
        ("referral-only", "با سلام و احترام. برای بررسی بهتر باید حضوری توسط دکتر ویزیت شوید. موفق باشید"),
        (
            "link-spam",
            "برای خرید به https://example.org/very/long/path/of/a/shop?ref=123456789&campaign=autumn و www.example.com/offers بروید",
        ),
        ("other-script", "Take one tablet of ibuprofen after each meal and drink enough water. این را بخورید و استراحت کنید"),
        ("short-answer", "مسکن بخورید، در جای تاریک استراحت کنید و آب زیاد بنوشید."),
        ("short-answer", " ".join(["کلمه"] * 44)),
    ],
)
def test_reason_of_a_drop(reason: str, answer: str) -> None:
    assert pair_problem(QUESTION, answer, RULES) == reason


def test_a_word_of_advice_beside_the_referral_is_no_referral_only() -> None:
    answer = "به پزشک مراجعه کنید. تا آن وقت قرص استامینوفن بخورید و در تاریکی استراحت کنید."
    assert pair_problem(QUESTION, answer, PairRules(min_answer_words=0)) is None


def test_lengths_are_the_settings() -> None:
    answer = " ".join(["کلمه"] * 45)
    assert pair_problem(QUESTION, answer, RULES) is None
    assert pair_problem("چرا درد؟", answer, RULES) == "short-question"
    assert pair_problem("چرا درد؟", "بله", PairRules(min_question_words=0, min_answer_words=1, min_own_words=0)) is None


def test_the_paper_s_preset_looks_at_the_length_alone() -> None:
    rules = CleanSettings.model_validate({"preset": "paper"}).pairs
    assert pair_problem("", " ".join(["سلام"] * 45), rules) is None
    assert pair_problem("", " ".join(["سلام"] * 44), rules) == "short-answer"


def test_what_a_recipe_says_counts_more_than_its_preset() -> None:
    settings = CleanSettings.model_validate({"preset": "paper", "pairs": {"min_own_words": 7}, "languages": ["fa"]})
    assert (settings.pairs.min_own_words, settings.pairs.max_boilerplate, settings.languages) == (7, 1.0, ["fa"])
    assert settings.duplicates.jaccard is None
