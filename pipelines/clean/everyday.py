"""Words of everyday questions: what is left of "which of these is true?" when a word changes says nothing about a test item."""

from __future__ import annotations

from collections.abc import Collection

from pipelines.clean.folding import fold

# Written down from the phrases that the short questions of medical exams and forums share; folded like what they are compared to.
EVERYDAY = frozenset(
    fold(
        """
        آن آنها آیا از است استفاده اصلی افزایش اقدام اما انجام او اول اولین اگر این اینکه با باشد باشند باعث باید باید‌ها
        بخشید بر برابر برای بسیار به بهتر بهترین بودن بوده بی بیشتر بیشترین بیمار بیماری بیماری‌ها بیماری‌های تا تر تشخیص
        تعریف تفاوت توان تواند توانم توانند توسط جز جمله حال خطر خطرناک خواص خود خیر خیلی داده دار دارای دارد دارم دارند دارو
        داروی دارویی داشت داشته در درباره درست درمان درمورد دلیل دهد دهم دهند دو دچار دکتر دیگر را رابطه راه راهنمایی رخ روش
        روی زمان زمانی زیاد زیر سلام شامل شایع شایعترین شد شدم شدن شده شما شود شوند صادق صحیح صورت عامل عبارات عبارت عبارتند
        عدم علائم علایم علت علل عوارض عوامل غلط فرد فواید قرار لازم ما مانند مبتلا متخصص مثل محتمل‌ترین مرتبط مصرف معمولا ممکن
        من مناسب مناسبترین منجر مهم مهمترین موارد مواردی مورد می می‌باشد می‌توان می‌تواند می‌توانم می‌توانند می‌توانید
        می‌توانیم می‌دهد می‌شود می‌شوند می‌کند می‌کنم می‌کنند می‌گیرد نادرست ناشی نشان نشانه نشانه‌ها نشانه‌های نمی نمی‌باشد
        نمی‌شود نوع نیست نیستند ها های هر هست هستم هستند هستید هم همراه همه هیچ و وقت ولی ویژگی پزشک پس پیدا پیش پیشگیری چرا
        چطور چقدر چند چه چگونه چی چیز چیزی چیست چیه کار کاری کاهش کجا کدام کدامند کدامیک کرد کردن کرده کسی کل کلی کمک کن کند
        کنم کنند کنید کنیم کی گاهی گرفت گرفته گزینه گزینه‌ها گزینه‌های گیرد یا یعنی یک یکی
        """
    ).split()
)


def say_something(words: Collection[str], characters: int) -> bool:
    """Whether folded words are more than a phrase of every day: so many characters, and a word that not every question has."""
    return sum(map(len, words)) >= characters and any(word not in EVERYDAY for word in words)
