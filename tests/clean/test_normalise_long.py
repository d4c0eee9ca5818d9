"""A long text of one sign over and over takes no longer than its length, in every rule on texts."""

from __future__ import annotations

import pytest

from pipelines.clean.language import language_of
from pipelines.clean.normalise import normalise
from pipelines.clean.privacy import redact

SIZE = 100_000  # a rule that looks at the rest of the text from every place takes minutes


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "sign",
    [
        "ـ",
        "<",
        "<a ",
        "<!--",
        "&amp;",
        "1 ",
        "1",
        "a.",
        "a@",
        "a at ",
        "می",
        "می ",
        "ها ",
        "\u200c",
        "خیابان آدرس ",
        "دکتر علی ",
        "کد ملی ",
        "0912 ",
        "۱",
        "-_ ",
    ],
)
def test_time_grows_with_the_length_only(sign: str) -> None:
    text = sign * (SIZE // len(sign))
    for rule in (normalise, language_of, redact):
        rule(text)
