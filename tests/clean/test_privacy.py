"""What identifies a person is replaced in every spelling; no dose, value or date is touched."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.clean.privacy import PLACEHOLDERS, redact

NATIONAL_ID = "0013542419"  # its check digit by the rule of the civil registry, computed below
CARD = "6037997512345670"  # Luhn, computed below


def test_the_numbers_planted_here_have_valid_checksums() -> None:
    remainder = sum(int(digit) * (10 - place) for place, digit in enumerate(NATIONAL_ID[:9])) % 11
    assert int(NATIONAL_ID[9]) == (remainder if remainder < 2 else 11 - remainder)
    doubled = [int(digit) * (2 if place % 2 == 0 else 1) for place, digit in enumerate(CARD)]
    assert sum(digit - 9 if digit > 9 else digit for digit in doubled) % 10 == 0


@pytest.mark.parametrize(
    ("kind", "text", "secret"),
    [
        ("mobile", "تماس بگیرید 09121234567 ممنون", "09121234567"),
        ("mobile", "شماره‌ام ۰۹۱۲۱۲۳۴۵۶۷ است", "۰۹۱۲۱۲۳۴۵۶۷"),
        ("mobile", "۰۹۱۲ ۱۲۳ ۴۵ ۶۷", "۰۹۱۲ ۱۲۳ ۴۵ ۶۷"),
        ("mobile", "0912-123-4567.", "0912-123-4567"),
        ("mobile", "(۰۹۱۲) ۱۲۳۴۵۶۷", "۱۲۳۴۵۶۷"),
        ("mobile", "0912\u200c123\u200c4567", "4567"),
        ("mobile", "+98 912 123 4567", "912 123 4567"),
        ("mobile", "+۹۸۹۱۲۱۲۳۴۵۶۷", "۹۱۲۱۲۳۴۵۶۷"),
        ("mobile", "00989121234567", "00989121234567"),
        ("mobile", "واتساپ 9121234567", "9121234567"),
        ("mobile", "۹۱۲ ۱۲۳ ۴۵۶۷", "۹۱۲ ۱۲۳ ۴۵۶۷"),
        ("mobile", "۰ ۹ ۱ ۲ ۱ ۲ ۳ ۴ ۵ ۶ ۷", "۴ ۵ ۶ ۷"),
        ("mobile", "٠٩١٢١٢٣٤٥٦٧", "٠٩١٢١٢٣٤٥٦٧"),
        ("landline", "مطب: 021-88776655", "88776655"),
        ("landline", "۰۲۱ ۸۸ ۷۷ ۶۶ ۵۵", "۸۸ ۷۷ ۶۶ ۵۵"),
        ("landline", "(021) 8877 6655", "8877 6655"),
        ("landline", "+98 21 88776655", "88776655"),
        ("landline", "تلفن مطب: ۸۸۷۷۶۶۵۵", "۸۸۷۷۶۶۵۵"),
        ("phone", "Tel: +49 511 270924 00", "270924"),
        ("email", "به ali.rezaei_55@gmail.com بنویسید", "ali.rezaei_55@gmail.com"),
        ("email", "ali.rezaei @ yahoo . com", "ali.rezaei"),
        ("handle", "پیج من @dr_rezaei را ببینید", "dr_rezaei"),
        ("handle", "آدرس اینستاگرام: drrezaei.clinic", "drrezaei.clinic"),
        ("url", "در https://t.me/drrezaei بپرسید.", "drrezaei"),
        ("national-id", f"کد ملی {NATIONAL_ID} دارم", NATIONAL_ID),
        ("national-id", "۰۰۱-۳۵۴۲۴۱-۹", "۳۵۴۲۴۱"),
        ("national-id", "کد ملی من ۱۲۳۴۵۶۷۸۹۰ است", "۱۲۳۴۵۶۷۸۹۰"),
        ("card", f"کارت {CARD}", CARD),
        ("card", "6037 9975 1234 5670", "9975"),
        ("card", "۶۰۳۷-۹۹۷۵-۱۲۳۴-۵۶۷۰", "۹۹۷۵"),
        ("iban", "IR82 0540 1026 8002 0817 9090 02", "8002"),
        ("medical-council", "پزشک معالج، شماره نظام پزشکی ۱۲۳۴۵۶", "۱۲۳۴۵۶"),
        ("medical-council", "نظام پزشکی: 98765", "98765"),
        ("mobile", "۰۹۱۲/۳۴۵۶۷۸۹", "۳۴۵۶۷۸۹"),
        ("landline", "021/88776655", "88776655"),
        ("landline", "تلفن ایشان: 22399771", "22399771"),
        ("landline", "با مطب تماس بگیرید.\n44483071", "44483071"),
        ("landline", "گفتاردرمانی بهار\n88022851\nعصرها", "88022851"),
        ("mobile", "شماره 0915643737 یک رقم کم دارد", "0915643737"),
        ("postal-code", "کد پستی: ۱۹۸۷۶-۵۴۳۲۱", "۵۴۳۲۱"),
        ("name", "جناب آقای دکتر علی موسوی سلام", "موسوی"),
        ("name", "دکترمحمدی گفت", "محمدی"),
        ("name", "دکتر بهرامی\u200cنژاد", "نژاد"),
        ("address", "مطب خیابان شریعتی، پلاک ۲۳۴، طبقه دوم است", "۲۳۴، طبقه دوم"),
        ("address", "آدرس: مشهد، بلوار احمدآباد، ساختمان پزشکان", "احمدآباد"),
    ],
)
def test_identifiers_become_placeholders(kind: str, text: str, secret: str) -> None:
    redacted, found = redact(text)
    assert dict(found) == {kind: 1}
    assert PLACEHOLDERS[kind] in redacted
    assert secret not in redacted


@pytest.mark.parametrize(
    "text",
    [
        "قرص ۵۰۰ میلی‌گرم هر ۸ ساعت، ۳ بار در روز به مدت ۱۰ روز",
        "فشار ۱۴۰/۹۰ و ضربان ۷۲، قند ۱۲۶، پلاکت ۲۵۰۰۰۰ و گلبول ۴۵۰۰۰۰۰",
        "آخرین پریود ۱۴۰۲/۰۹/۱۲ بود و بعدی ۱۴۰۲-۱۰-۰۹",
        "تاریخ 2023-09-12 ساعت 10:30:45",
        "سن ۲۹ سال، قد ۱۶۵، وزن ۶۵، هفته ۱۲ و ۳ روز، CRL 53.2 mm",
        "دوز ۰.۹ ۱.۲ ۳.۴ ۵.۶ ۷.۸ ۹.۱",
        "مقادیر: 9 10 11 12 13 14 15 16",
        "صفحهٔ ۹۱۲ از ۱۲۳۴",
        "Thyroxine 7.58@TSH 4.73 و Fsh۲۵@Lh۲۴.۱۹",
        "سازمان نظام پزشکی در سال ۱۴۰۲ اعلام کرد",
        "با اورژانس ۱۱۵ یا ۱۲۳ تماس بگیرید",
        "HbA1c 6.5% , LDL 130 mg/dL, vitamin B12 1000 mcg, omega-3",
        "instability و methemoglobinstagnant",
        "از سال ۱۳۹۸ تا ۱۴۰۲، ۱۰۰۰۰۰ واحد پنی‌سیلین ۱۲۰۰۰۰۰",
        "پلاکت\n25000000\nو نتیجهٔ بعدی\n30000000",
        "بتا ۱۲۳۴۵٫۶ و بتای بعدی 24690.2",
    ],
)
def test_doses_values_and_dates_stay(text: str) -> None:
    assert redact(text) == (text, {})


WORDS = st.lists(
    st.sampled_from(
        "دکتر خانم آقای سید علی رضایی حسن زاده زنان گفت خیابان پلاک ۱۲ واحد ، آدرس : . کد ملی 0012345679 نظام پزشکی کارت ایمیل a@b.ir".split()
    )
)


@given(st.text(st.sampled_from("0912+98۰۹۱۲ -().@:/*،\u200cabcom.irکارت تلفن")) | WORDS.map(" ".join))
def test_twice_is_the_same_as_once(text: str) -> None:
    once = redact(text)[0]
    assert redact(once)[0] == once
