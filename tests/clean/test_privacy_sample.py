"""On labelled sentences of our own the redaction finds what identifies a person and takes nothing else.

The first sample was in sight when the rules were written. The second was written after them, to be hard:
of its 76 numbers and addresses of e-mail the rules of that day missed 9. The figures of today's rules are an upper bound.
"""

from __future__ import annotations

import re
from itertools import chain

import pytest

from pipelines.clean.normalise import normalise
from pipelines.clean.privacy import redact
from pipelines.clean.residual import NUMBERS_AND_EMAIL, Residual, labelled_samples, residual, with_interval

ALL = list(chain.from_iterable(labelled_samples().values()))


@pytest.fixture(scope="module")
def measured() -> Residual:
    return residual(ALL)


def test_the_sample_is_large_enough() -> None:
    marked = ["{" in sentence for sentence in labelled_samples()["first"]]
    assert marked.count(True) >= 200 and marked.count(False) >= 200


def test_numbers_and_email_are_found(measured: Residual) -> None:
    rate, _, _ = measured.rate(*NUMBERS_AND_EMAIL)
    assert rate <= 0.02, measured.misses


def test_hardly_anything_else_is_redacted(measured: Residual) -> None:
    assert measured.precision()[0] >= 0.99, measured.misses


def test_names_after_titles_and_addresses_are_found(measured: Residual) -> None:
    assert measured.rate("name", "address", "handle")[0] <= 0.05, measured.misses


def test_what_is_found_in_a_sentence_is_found_far_into_a_text() -> None:
    before = "فشار ۱۴۰ بود و دکتر گفت خوب است. " * 30 + "\n"
    texts = [normalise(re.sub(r"\{[a-z-]+\|(.*?)\}", r"\1", sentence)) for sentence in ALL]
    assert [text for text in texts if redact(before + text)[0] != before + redact(text)[0]] == []


def test_no_dose_value_or_date_is_redacted() -> None:
    texts = [normalise(sentence) for sentence in ALL if "{" not in sentence]
    assert [text for text in texts if redact(text)[0] != text] == []


def test_the_interval_is_wilsons() -> None:
    # Newcombe 1998, table I: 81 of 263 and 0 of 20
    assert with_interval(81, 263) == pytest.approx((0.3080, 0.2553, 0.3662), abs=5e-5)
    assert with_interval(0, 20) == pytest.approx((0.0, 0.0, 0.1611), abs=5e-5)
    assert with_interval(0, 0) == (0.0, 0.0, 1.0)


def test_misses_and_wrong_placeholders_are_counted() -> None:
    result = residual(["{name|ناشناس} آمد", "قرص را با 09121234567 بخور", "شماره {mobile|09121234567} است"])
    assert result.missed == {"name": 1} and result.wrong == {"mobile": 1} and len(result.misses) == 2
    assert result.rate("mobile")[0] == 0 and result.rate("name")[0] == 1
    assert result.precision()[0] == pytest.approx(0.5)
    with pytest.raises(ValueError, match="no kind of identifier: phone-number"):
        residual(["{phone-number|1}"])
