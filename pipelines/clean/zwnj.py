"""Places the zero-width non-joiner where Persian orthography asks for one and no other reading exists; 25 MB/s.

Forums write one verb in three ways, `می شود`, `میشود` and `می‌شود`; a model and a search for duplicates want one.
The rules are those of the Academy's orthography (Dastur-e Khatt-e Farsi) that a closed list can decide:

| rule | example | what keeps it safe |
|---|---|---|
| می, نمی + verb, apart or attached | می شود, میشود | the rest is a form of a verb listed here: `ماه می`, `میزان`, `میگرن` stay |
| plural ها and what may follow it | قرص های, بچه هام | the word before is no function word: `از ها` stays |
| ترین | شایع ترین | nothing else is written so |
| تر | دقیق تر | only after adjectives listed here: `اگزمای تر` is wet eczema |
| ای | قهوه ای | after a silent ه, before no call (`ای خدا`) and no letter's name (`ای ان ای` is ANA) |
| ام, ایم, اید, اند | شده اند | after a silent ه, before no letter's name: `حمله ام اس` is an attack of MS |

Not taken, since they would be wrong in some medical text: تری (`تری گلیسیرید`), اش and ات (words of their own), ی after ه
(in forums short for یک: `میشه ی سوال`), attached ها (`اشتها`, `تنها`; `داروها` is right as it is), بی and هم (`بی` is also the
letter B), میاد and its like (their ZWNJ would need a letter more), and spaces inside drug names and compound nouns.
"""

from __future__ import annotations

import re

ZWNJ = "\u200c"
LETTER = "\u0620-\u063f\u0641-\u064a\u066e-\u06d3\u06d5\u06ee\u06ef\u06fa-\u06fc\u06ff"  # of the Arabic script
MARK = "\u064b-\u065f\u0670\u06d6-\u06dc"

_WORD_ENDS = rf"(?![\w{ZWNJ}{MARK}])"
_PREFIX = re.compile(f"می( ?)(?=([{LETTER}]{{2,15}}+){_WORD_ENDS})")
_SUFFIX = re.compile(
    f" (?=[هتا])(?<=[{LETTER}] )(ها(?:یم|یش|یت|یمان|یتان|یشان|یی|ی|م|ش|مون|تون|شون)?|ترین|تر|ای|ام|ایم|اید|اند){_WORD_ENDS}"
)

# Verbs -----------------------------------------------------------------------------------------
_PRESENT = (
    "شو کن توان خواه دان دار گیر ده رو آی گوی یاب رس افت کش زن بر باش مان گذر گذار بین آور اور ساز نویس خواب ریز ترس"
    " گرد چرخ لرز سوز نشین بند پرس پرداز انداز پوش شناس فهم خند جوش پیچ چسب شکن فرست رسان نمای فرمای خوان ایست طلب پذیر"
    " بخش کاه افزای انجام شنو نوش پوشان چرخان خار سنج پیوند مال مک شمار میر خور پر لغز کوب دود روی خیز رنج بلع جنب گوار"
    " تراو"
).split()
_COLLOQUIAL = (
    "ش کن تون خوا خا دون د ر گ خور گیر زن کش ذار زار مون خون سوز بین ترس پرس پر دار پیچ خواب خاب چرخ لرز نشین شین فهم"
    " بند خند شور ریز فرست شناس شنو گذر گرد ساز رس بر خار رسون نویس پوش شکن"
).split()
_PAST = (
    "شد کرد توانست تونست خواست خاست دانست دونست داشت گرفت داد رفت آمد امد خورد گفت یافت رسید افتاد کشید زد برد ماند موند گذشت"
    " گذاشت ذاشت دید آورد اورد ساخت نوشت خوابید ریخت ترسید گشت گردید چرخید لرزید سوخت نشست بست پرسید انداخت پوشید شست شناخت"
    " فهمید خندید پیچید شکست فرستاد خواند خوند ایستاد شنید نوشید خارید پرید"
).split()
_ENDINGS = ((_PRESENT, "م ی د یم ید ند"), (_COLLOQUIAL, "م ی ه یم ین ید ن"), (_PAST, "م ی یم ید ند ین ن ه"))
_FORMS = {stem + ending for stems, endings in _ENDINGS for stem in stems for ending in endings.split()}
_FORMS |= {*_PAST, "توان", "بایست", "باید", "خواد", "خاد"}
VERBS = frozenset(_FORMS | {form + "ش" for form in _FORMS if len(form) > 2})  # میبرمش: with its object
_NO_VERBS = frozenset("میدانی میشی میری میران میرزا میدان".split())  # field study, brown eyes, names

# What stands before and after a suffix -----------------------------------------------------------
_NO_NOUNS = frozenset(
    "از به در با که و یا تا بر را رو هم نه بله اگر اگه ولی اما چون پس بی می نمی است هست نیست بود شد شود باشد دارد داره"
    " دارم میشه کنه ها های هایی تر ترین ای ام ایم اید اند اش ات".split()
)
_SPOKEN_HEH = frozenset("به که چه نه بله ده گروه کوه شبیه توجه متوجه مشابه وجه فقه مواجه انبوه اندوه فربه مرفه".split())
_ADJECTIVES = frozenset(
    "آسان آرام آروم آهسته ارزان ارجح اصولی ایمن باریک بالا بد بزرگ برجسته بلند بیش پایدار پایین پررنگ پرخطر پهن پیچیده"
    " پیش پیشرفته تازه تخصصی تند تنگ تهاجمی تیره جالب جامع جدی جدید جوان چاق چرب حاد حجیم حساس خطرناک خفیف خشک خوب درست"
    " درشت دردناک دشوار دقیق دور دیر رایج راحت رسا رقیق روان روشن زود زیاد زیبا ساده سالم سبک سخت سریع سطحی سفت سنگین"
    " شایع شدید شفاف شل شلوغ صحیح ضخیم ضعیف طبیعی طولانی ظریف عقب عمیق عمده غلیظ غنی فراوان فعال قدیمی قطعی قوی کامل کلی"
    " کلفت کم کمرنگ کند کوتاه کوچک کوچیک گران گرم گسترده لاغر محتمل محدود محکم مخرب مسن مشخص مشکل مطلوب مطمئن معتبر مفصل"
    " مفید مقاوم مقوی ملایم مناسب منظم مهم موثر مؤثر موفق نازک نادر نرم نزدیک واضح وخیم وسیع متفاوت اضافه خراب منطقی"
    " شاداب باهوش نامنظم خسته شیرین".split()
)
_CALLED = frozenset("کاش کاشکی خدا خدای وای بابا جان داد دل امان".split())
_LETTER_NAMES = frozenset("آ ای بی سی دی اف جی اچ آی کی ال ام ان او پی کیو آر ار اس تی یو وی ایکس زد".split())

_AROUND = 24  # characters; a longer word is none of the lists'
_LAST_LETTERS = re.compile(f"[{LETTER}]+\\Z")
_NEXT_LETTERS = re.compile(f" ([{LETTER}]+)")


def place_zwnj(text: str) -> str:
    """A text of clean characters and single spaces with the ZWNJ of the table above. Twice is the same as once."""
    if "می" in text:
        text = _PREFIX.sub(_joined_verb, text)
    return _SUFFIX.sub(_joined_suffix, text)


def _joined_verb(match: re.Match[str]) -> str:
    text, start = match.string, match.start()
    space, rest = match.groups()
    if rest not in VERBS or (not space and f"می{rest}" in _NO_VERBS):
        return match.group()
    start -= text.startswith("ن", start - 1) if start else 0
    stands_alone = not start or not (text[start - 1].isalnum() or text[start - 1] == ZWNJ)
    return f"می{ZWNJ}" if stands_alone else match.group()


def _joined_suffix(match: re.Match[str]) -> str:
    suffix = match.group(1)
    before = _LAST_LETTERS.search(match.string, max(0, match.start() - _AROUND), match.start())
    assert before  # the pattern looks behind for a letter
    return f"{ZWNJ}{suffix}" if _belongs(before.group(), suffix, match) else match.group()


def _belongs(word: str, suffix: str, match: re.Match[str]) -> bool:
    if suffix == "تر":
        return word in _ADJECTIVES
    if suffix.startswith("ها") or suffix == "ترین":
        return len(word) > 1 and word not in _NO_NOUNS
    if not word.endswith("ه") or word.endswith("اه") or word in _SPOKEN_HEH:
        return False
    following = _NEXT_LETTERS.match(match.string, match.end())
    return not following or following.group(1) not in (_LETTER_NAMES | _CALLED if suffix == "ای" else _LETTER_NAMES)
