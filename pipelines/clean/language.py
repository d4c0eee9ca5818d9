"""Which language a text is in, by the words and letters that only one of seven writes: about 30,000 texts/s, no model.

Byte n-gram identifiers (py3langid, limited to the same six languages) take normalised Arabic, with Persian yeh and kaf, and
short Kurdish or Pashto for Persian, and Persian in Latin letters for anything. Every sentence of these neighbours holds
function words or letters that Persian has not, so evidence is counted: a word of one language is worth 1, one of two
languages half to each, a letter of its alphabet OWN_LETTER. The most evidence wins; with none a text is Persian, or English
where it is in Latin letters. Dari is Persian.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

# Characters: a glance is enough where it is CLEAR and no Latin letter follows. The answer was the same for each of 59,963 real
# texts with 400 read at once, and with 800 for all but 10, which mix languages.
GLANCE, READ = 120, 400
CLEAR = 3.0  # so much more evidence for Persian than for any other language
UNKNOWN = "unknown"  # no letters at all
OTHER = "other"  # another script
FINGLISH = "finglish"  # Persian in Latin letters

OWN_LETTER = 0.5
HABIT = 0.6  # a spelling that is typical of one language, but not its own
LABORATORY_SHEET = 1.5  # Latin words to each other word in a Persian question that quotes results
DEFAULT = 0.4  # for Persian and for English: under one word, under one letter

_URL = re.compile(r"(?:https?://|www\.)\S+|\S+@\S+")
_LATIN_LETTER = re.compile("[A-Za-z\u00c0-\u024f]")
_LATIN_WORD = re.compile(r"[A-Za-z\u00c0-\u024f][A-Za-z\u00c0-\u024f]*")  # faster than with a plus where there is none
_ARABIC_WORD = re.compile("[\u0620-\u063f\u0641-\u064a\u0671-\u06d3\u06d5\u06fa-\u06ff]+")
_OTHER_LETTER = re.compile(r"[^\W\d_A-Za-z\u00c0-\u024f\u0600-\u06ff]")

# Arabic script ---------------------------------------------------------------------------------
_ARABIC_SCRIPT_LETTERS = {"ur": "ٹڈڑںےہھ", "ps": "ټډړږښګڼېۍځڅ", "ku": "ڕڵێۆڤە", "ar": "ةإ"}
_ARABIC_SCRIPT_WORDS = {
    "fa": (
        "که را رو است از به در این آن اون برای واسه با شما تا یا هم اگر اگه باید شود شه دارد داره دارم ندارم ندارد"
        " نداره می نمی یک یه سلام چه چی چیه چیست چرا چطور چقدر هست هستم هستش هستند کند کنه کنم کنید کنیم کنند ها های"
        " هایی شده شدم شدن بود بودم بوده کرد کردم کرده کردن ولی اما هفته ماه بارداری باردار میشه عزیز خسته نباشید آیا"
        " ایا لازم خوب خیلی بعد قبل روی بدون هر من منم ما او دیگه دیگر الان همه هیچ چند بهتر بیشتر کمتر دو بالا پایین"
        " پسرم دخترم مادرم پدرم همسرم خانمم بچه درد خون قرص آزمایش ازمایش پزشک دکتر درمان بیماری علت مصرف لطفا ممنون"
        " متشکرم توسط نیست شد گفت گفته داشته داشتم داشت دهد دهید خوردن خوردم خورد بخورم کنین ره کدن طفل داکتر"
        # which the neighbours write too
        " کم بین قد حتی فقط جدا ممکن علاج حول خلال مریض کل شهر غیر علی حامل تناول پر دن جو تک تو ان تر ته ده دی د دوا"
        " دوای ژن کات خور ملا مور"
    ),
    "ar": (
        "فی علی إلی عن هذا هذه ذلک تلک التی الذی الذین ثم عند عندی عندما هو هی هم کان کانت لم لن مع هل یمکن أن إن أو"
        " لدی لدیه لدیها أنا انا انی ما ماذا لماذا کیف متی منذ کل بعد قبل من بین أثناء اثناء حتی لکن لیس لیست یجب یوجد"
        " قد لقد غیر أی ای کم شکرا جدا جیدا أیضا ایضا فقط بسبب بدون ولا لا یا نعم هناک حول خلال یوم أیام ایام سنة سنه"
        " شهر مرة مرات ابنی ابنتی طفلی طفلتی زوجی زوجتی والدی والدتی أمی أبی عمره عمرها تم علاج أعراض اعراض ألم الم ممکن"
        " اعرف اعانی أعانی ینصح تناول حامل وجع مریض دواء حبوب أحیانا احیانا وهل وما وهو وهی وفی ومن وعندی شو ایش وش لو"
        " سمحت عشان"
    ),
    "ur": (
        "کی کا کو اور سے ہے ہیں میں نے کے پر بھی کیا یہ وہ نہیں ہو جو تو تک مجھے میرے میری میرا آپ ان اس ایک بہت لیے"
        " تھا تھی ہوں گا گی گے رہا رہی رہے کرنا کرتا کریں بتائیں ہوتا ہوتی جائے لیں دن میرا والدہ علامات علاج بچے بخار"
        " کھانسی شکریہ"
    ),
    "ps": (
        "د په چې دې دا او زما زه یې لري لری لرم ته نه کې کړي کړم شي شم یم څه لپاره سره کوی کوي هغه له څخه پرون نن سبا"
        " وروسته موږ ستاسو ستا مې دی ده دي ول ولې وه وو خو هم کله چیرې ډېر ښه وخوره وکړم مور پلار خور ورور لور زوی ماشوم"
        " ناروغ ناروغه ناروغی روغتون درملنه وینه وینې غواړم کولای ورځ ځله اوس تر کال کلن کلنه میاشت ستونی ملا غاښ راغی"
        " پوښتنه مننه"
    ),
    "ku": (
        "ئه ئەم ئەو له لە به بە بۆ کە هەیە نییە دەکات دەبێت من تۆ ئێمە چی چۆن زۆر ئازاری نەخۆشی خوێن دکتۆر پزیشک سەرم"
        " مناڵ منداڵ ڕۆژ کات باشە سوپاس تکایە دوای پێش لەگەڵ هەر یەک دوو سێ ژن پیاو باوکم دایکم کوڕم کچم دەرمان جار دوا"
        " چییە ئایا دەکەم بکەم"
    ),
}
_ARTICLE = ("ال", "وال", "بال", "لل", "فال", "کال")  # of Arabic; the next letters make the word
_PERSIAN_WITH_ARTICLE = re.compile(
    "الان|البته|الک|الگ|الهی|الهام|الزام|الیاف|الاغ|الف|الت[هم]|بالا|بالغ|بالش|بالین|بالق|بالون|بالت|بالاخره|والد|والیب|والا|والپ|فالوپ|فالوآپ"
    "|کالا|کالب|کالر|کالس|کالو|للگ|الماس|الو|الن|الانزاپین|الز"
)

# Latin script ----------------------------------------------------------------------------------
_LATIN_SCRIPT_LETTERS = {"ku": "êîûşç"}
_LATIN_SCRIPT_WORDS = {
    "en": (
        "the of and is to in for with that are this my i have has had it you be on or can was were your not from a an"
        " at by as but if so no yes do does did he she his her we they them their our me us will would should could may"
        " might must after before during when where what which who why how there any some all more most than then now"
        " since ago day days week weeks month year years old child baby doctor patient pain blood pressure take taking"
        " tablet tablets daily twice once disease treatment symptoms side effects surgery test normal high low drug"
        " drugs been being feel feels get got please thanks thank help need about into over out up down next every safe"
        " common dose pregnant pregnancy"
    ),
    FINGLISH: (
        "salam slm man mikham nemikham daram nadaram dare nadare darim darid darand baraye vase chikar chikonam konam"
        " kone konid konim lotfan mamnon mamnoon mamnun mersi merci khoob khub hast nist hastam hastin chera kheili"
        " kheyli khayli dard sar saram shekam shekamam dokhtar dokhtaram pesar pesaram shodam shode shod shodeh kardam"
        " karde kard bayad nabayad aya ke az ro va dar ba ham hamash rooz roz ruz hafte mah mahe sal sale salame saalame"
        " saalam salashe ghors masraf hamele bardar bardaram pezeshk chi che chand chandta bashe bashad khastam begid"
        " age agar alan bad ghabl ta ya yek ye do se in un oon inke vali ama dige faghat baad begam bood bud budam"
        " boodam bokhoram bokhore bokhorid bokhorim ghaza tab tabe garm sard azmayesh azmayeshgah javab jawab natije"
        " fesharkhon feshar khon khoon ghand dandan dandoon zanoo kamar kamaram gardan pa dast cheshm cheshmam goosh"
        " gosh gelu galoo poost pust moo moham khab khabam shab shaba shabha sobh zohr dishab emrooz emruz diruz farda"
        " zarar khatar khatarnake khatarnak doroste khoobe khube chie chiye chieh dalil elat darman daroo daru ghatre"
        " sharbat ampul amp periodam pereyod bimari bimarestan matab shoma to ma oona harf koodak kudak nini bache"
        " bacham hamsaram shoharam madaram pedaram khanomam khaharam baradaram zayeman sezarin negaranam negarane"
        " rahnamayi tashakor vaght bekheyr bekheir jan aghab avordam hale halam bishtar kamtar behtar ziad ziyad kam"
        " hich hame ghat eshkal moshkel moshkeli nadarad darad lebas sorat suratam soratam beshe nashe besham nemishe"
        " mishe pomad pomadi kerem keremi vitamini ghorsi gereftam gerefte oftade oftad rafte raftam goft gofte goftan"
    ),
    "ku": (
        "min ez tu ew em hûn te wî wê me we ye ne heye tune ji bo di de da li û ku çi çima çawa kengî kîjan ev wek lê"
        " jî bi ser serê çavê dilê diranê zikê destê nexweş nexweşî nexweşiya bavê dayika diya kurê keça zarok zarokê"
        " jin jinên derman dermanê doktor bijîşk nexweşxane êş diêşe xwîn xwînê xwarin xwarinê av taya gelek pir baş"
        " xweş îro duh sibê roj rojê meh sal hefte du sê spas divê dikarim dikim dike dikin kir kirin bû bûn heke dixwe"
        " dixwim bixwin naxwe"
    ),
}
# Verbs with `mi` and `nemi`, which a few English words look like; kh, and gh where English has none.
_FINGLISH_HABIT = re.compile(
    "(?:ne?mi[a-z]{2,}|mi(?!nut|ddl|gra|ght|ld|lk|lli|nd|ner|nim|nor|ss|x|cro|st|ne$|les?$|d)[a-z]+(?:am|e|im|id|in|an|and|ad|i)"
    "|kh[a-z]+|[a-z]+kh[a-z]*|gh[a-z]+|[a-z]*[aeiou]gh[aeiou][a-z]*|[a-z]+(?:etun|etoon|emun|emoon|eshun|eshoon|atoon|itoon))"
)


def _owners(words: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Every word (or letter) with the languages that have it."""
    owners: defaultdict[str, tuple[str, ...]] = defaultdict(tuple)
    for language, text in words.items():
        for word in dict.fromkeys(text.split()):
            owners[word] += (language,)
    return dict(owners)


def _letters(letters: Mapping[str, str]) -> tuple[re.Pattern[str], dict[str, str]]:
    return re.compile(f"[{''.join(letters.values())}]"), {letter: code for code, text in letters.items() for letter in text}


_ARABIC_SCRIPT, _LATIN_SCRIPT = _owners(_ARABIC_SCRIPT_WORDS), _owners(_LATIN_SCRIPT_WORDS)
_ARABIC_LETTERS, _LATIN_LETTERS = _letters(_ARABIC_SCRIPT_LETTERS), _letters(_LATIN_SCRIPT_LETTERS)


def language_of(text: str) -> str:
    """fa, ar, ur, ps, ku, en, FINGLISH, OTHER or UNKNOWN for a normalised text."""
    text = text[:READ]
    if not _LATIN_LETTER.search(text) and _clearly_persian(_ARABIC_WORD.findall(text[:GLANCE]), text[:GLANCE]):
        return "fa"
    if "/" in text or "@" in text or "www" in text:
        text = _URL.sub(" ", text)
    arabic, latin = _ARABIC_WORD.findall(text), _LATIN_WORD.findall(text)
    if not (arabic or latin):
        return OTHER if _OTHER_LETTER.search(text) else UNKNOWN
    most = max(sum(map(len, arabic)), sum(map(len, latin)))
    if most < len(text) / 2 and most < len(_OTHER_LETTER.findall(text)):
        return OTHER
    # Names of drugs and tests are Latin in the shortest Persian question: words count here, not letters.
    evidence = _in_latin(text.lower()) if len(latin) > LABORATORY_SHEET * len(arabic) else _in_arabic(text, arabic)
    return max(evidence, key=evidence.__getitem__)


def _clearly_persian(words: list[str], text: str) -> bool:
    evidence = _in_arabic(text, words)
    return 2 * evidence["fa"] - sum(evidence.values()) >= CLEAR


def _in_arabic(text: str, words: list[str]) -> dict[str, float]:
    evidence = _evidence("fa", words, _ARABIC_SCRIPT, text, _ARABIC_LETTERS)
    at_most = HABIT * (text.count("أ") + text.count("ال") + text.count("لل"))
    if evidence["ar"] + at_most > evidence["fa"]:  # in most Persian texts it is not, and the words need not be looked at
        evidence["ar"] += HABIT * sum(map(_looks_arabic, words))
    return evidence


def _looks_arabic(word: str) -> bool:
    return word[0] == "أ" or (len(word) > 4 and word.startswith(_ARTICLE) and not _PERSIAN_WITH_ARTICLE.match(word))


def _in_latin(text: str) -> dict[str, float]:
    words = _LATIN_WORD.findall(text)
    evidence = _evidence("en", words, _LATIN_SCRIPT, text, _LATIN_LETTERS)
    evidence[FINGLISH] += HABIT * sum(bool(_FINGLISH_HABIT.fullmatch(word)) for word in words if word not in _LATIN_SCRIPT)
    return evidence


def _evidence(
    default: str,
    words: Iterable[str],
    owners: Mapping[str, tuple[str, ...]],
    text: str,
    own: tuple[re.Pattern[str], dict[str, str]],
) -> defaultdict[str, float]:
    """By language; `own` are the letters that one language alone has."""
    evidence: defaultdict[str, float] = defaultdict(float, {default: DEFAULT})
    for languages, number in Counter(filter(None, map(owners.get, words))).items():
        for language in languages:
            evidence[language] += number / len(languages)
    letters, language_of_letter = own
    for letter in letters.findall(text):
        evidence[language_of_letter[letter]] += OWN_LETTER
    return evidence
