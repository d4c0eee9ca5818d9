"""Persian is told from its neighbours, from English and from Persian in Latin letters, also in short sentences."""

from __future__ import annotations

import pytest

from pipelines.clean.language import language_of
from pipelines.clean.normalise import normalise

SENTENCES = [
    ("fa", "سلام آقای دکتر، دو روز است که تب دارم."),
    ("fa", "فشار خون بالا"),
    ("fa", "طفل من تب دارد، داکتر صاحب چه کنم؟"),  # Dari
    ("fa", "كودك من تب داره چي كار كنم"),  # with Arabic letters
    ("fa", "دوز آموکسی‌سیلین 500 mg برای کودک چقدر است؟"),
    ("fa", "عوارض قرص Metoclopramide چیست"),
    ("fa", "من بعد عمل واریکوسل چرا بچه‌دار نشدم"),
    ("fa", "وزن و قد و دور سر جنین در هفته سی بارداری چند باید باشد؟"),
    ("ar", "يصيب مرض السكري من النوع الثاني البالغين عادة ويمكن علاجه"),
    ("ar", "أعاني من صداع شديد منذ أسبوع"),
    ("ar", "ما هي أعراض فقر الدم؟"),
    ("ur", "میرا بچہ بیمار ہے اور اسے بخار ہے"),
    ("ps", "زما زوی ناروغ دی او تبه لری"),
    ("ku", "کوڕەکەم نەخۆشە و تای هەیە"),
    ("ku", "kurê min nexweş e û taya wî heye"),
    ("en", "My son has had a fever since yesterday."),
    ("en", "Take ibuprofen 400 mg"),
    ("finglish", "salam man 30 saalame va sar dard daram chikar konam"),
    ("finglish", "doctor jan pesaram tab dare che ghorsi bedam"),
    ("other", "У моего сына температура"),
    ("unknown", "۱۲۳ - ۴۵ !"),
]


@pytest.mark.parametrize(("language", "text"), SENTENCES)
def test_language_of_a_sentence(language: str, text: str) -> None:
    assert language_of(normalise(text)) == language
