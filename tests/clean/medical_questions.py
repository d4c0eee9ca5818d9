"""Made-up Persian medical questions as long as real ones, and prose of other phrases: nobody's data."""

from __future__ import annotations

import random
from collections.abc import Iterator

# How many words (parted by spaces) the questions of six MMLU subjects, the Iranian basic sciences exam, MF3QA and K-QA have in
# their Persian form, all together: the share of each length, up to and with the number given. Measured once.
LENGTHS = {2: 0.004, 4: 0.041, 6: 0.078, 8: 0.075, 10: 0.065, 12: 0.061, 15: 0.062, 18: 0.046, 25: 0.078, 40: 0.136, 60: 0.354}

WHO = (
    "مادرم", "پدرم که دیابت دارد", "دختر سه ساله‌ام", "همسرم در ماه هفتم بارداری", "بیمار ۶۰ ساله‌ای با سابقهٔ سکته", "پسرم",
    "خانمی ۳۲ ساله", "مرد جوانی بدون سابقهٔ بیماری", "نوزاد یک‌ماهه‌ای", "کودکی که واکسن نزده", "سالمندی با نارسایی کلیه", "خودم",
)  # fmt: skip
WHAT = (
    "تب و لرز", "درد قفسهٔ سینه", "سرفه‌های خشک شبانه", "تاری دید", "خونریزی از لثه", "ورم مچ پا", "تپش قلب", "خارش پوست سر",
    "زردی چشم‌ها", "سوزش معده", "بی‌حسی انگشتان دست", "ریزش موی شدید", "کاهش وزن ناگهانی", "سرگیجه هنگام ایستادن", "درد زانو",
    "گرفتگی عضلات ساق", "تکرر ادرار", "خواب‌آلودگی روزانه", "کم‌اشتهایی", "تنگی نفس", "لکه‌های قرمز روی ساعد", "یبوست مزمن",
)  # fmt: skip
CAUSE = (
    "پس از مصرف آموکسی‌سیلین", "بعد از جراحی کیسهٔ صفرا", "با افت فشار خون", "در فصل بهار", "هنگام ورزش سنگین", "بدون هیچ علت مشخصی",
    "پس از زایمان سزارین", "با قطع ناگهانی دارو", "در ارتفاع زیاد", "بعد از عفونت ویروسی", "به دنبال کمبود ویتامین ب۱۲",
    "با خوردن غذای پرچرب", "در دوران یائسگی", "بعد از سفر به مناطق گرمسیری", "با کم‌کاری تیروئید",
)  # fmt: skip
TESTED = (
    "و آزمایش خون طبیعی است", "و هموگلوبین ۹ گزارش شده", "و در سونوگرافی سنگ دیده می‌شود", "و نوار قلب تغییری ندارد",
    "و قند ناشتا ۱۸۰ است", "و پزشک متفورمین داده", "و ام‌آر‌آی ضایعه‌ای نشان نداد", "و کشت ادرار مثبت شد", "و تست بارداری منفی بود",
)  # fmt: skip
LASTS = ("از دو هفته پیش", "چند ماه است که", "گاهی", "از دیشب", "هر روز صبح", "از سال گذشته", "مدتی است", "شب‌ها")
ASKS = (
    "محتمل‌ترین تشخیص چیست", "چه دارویی بهتر است", "اولین اقدام کدام است", "آیا خطرناک است", "چه باید کرد", "علت آن چیست",
    "به کدام متخصص باید رفت", "کدام آزمایش لازم است", "درمان خانگی دارد", "چه زمانی خوب می‌شود", "کدام گزینه درست است",
)  # fmt: skip


def questions(number: int, seed: int) -> list[str]:
    """Different questions, with lengths as often as real ones have them."""
    dice = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < number:
        found[question(length(dice), dice)] = None
    return list(found)


def prose(sentences: int, dice: random.Random) -> str:
    """What people write elsewhere: it shares how long something lasts with the questions, and no symptom, cause or finding."""
    return " ".join(" ".join(_case(dice.randint(4, 14), dice, of=1)) + "." for _ in range(sentences))


def length(dice: random.Random) -> int:
    """Words of a question."""
    most = dice.choices(list(LENGTHS), list(LENGTHS.values()))[0]
    least = max((other for other in LENGTHS if other < most), default=1) + 1
    return dice.randint(least, most)


def question(words: int, dice: random.Random) -> str:
    """So many words: a case with what is asked about it at the end."""
    asked = dice.choice(ASKS).split()
    case = list(_case(words, dice, of=0))[: max(1, words - len(asked))]
    return " ".join([*case, *asked][:words]) + "؟"


def _case(words: int, dice: random.Random, of: int) -> Iterator[str]:
    """At least so many words. `of`: one of two halves of the phrases."""
    written = 0
    while written < words:
        for part in (WHO[of::2], LASTS, WHAT[of::2], CAUSE[of::2], TESTED[of::2]):
            phrase = dice.choice(part).split()
            written += len(phrase)
            yield from phrase
