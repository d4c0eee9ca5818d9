"""Pages a second and core, and how well the known text is found, against trafilatura on the same pages.

    pip install trafilatura      # the extra `bench`, or an environment of its own
    python -m tests.benchmarks.extract [--replay FOLDER] [--timed 100] [--repeat 5]      # prints Markdown tables

The pages are those of the project's own demo web and, with FOLDER, those of the replay's server (`serve_sites.py` in it),
asked for in this process. Our reader runs twice: by the source's rules, and as if nothing were known of the site. F1 is of
words between white space, over a page's question and answer or its text, averaged over pages: of all pages for ours, of the
timed ones for trafilatura. Time is of the process, on one core; the readers take their turn in every round, and a ratio is
of two readers in one round.
"""

from __future__ import annotations

import argparse
import importlib.util
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urlsplit

import trafilatura

from pipelines.crawl.decode import decode
from pipelines.crawl.source import Rules, Source, load_source
from pipelines.demo.forum import Forum
from pipelines.demo.magazine import Magazine
from pipelines.demo.pages import Ask
from pipelines.demo.truth import truth
from pipelines.extract.page import Article, Pair, read_page
from tests.benchmarks.road import machine

REPLAY_SOURCES = Path(__file__).resolve().parent.parent / "replay" / "sources"
MIN_WORDS = 5
ZWNJ = "\u200c"
# What stands around the texts of both webs: advertisements, comments, sharing, footers.
FOREIGN = (
    "تخفیف ویژهٔ دستگاه ماساژ",
    "مشاورهٔ تلفنی شبانه‌روزی با تخفیف",
    "شمارهٔ من ۰۹۳۵۰۰۰۰۰۴۲",
    "اگر فایل کاملش را دارید",
    "را با دوستانتان به اشتراک بگذارید",
    "تخفیف ویژه کاشت مو",
    "سلام من هم این مشکل را دارم لطفا راهنمایی کنید شماره من",
    "اشتراک‌گذاری",
    "کلیه حقوق مادی و معنوی این سایت",
)

Reader = Callable[["Page"], str]


@dataclass(frozen=True)
class Page:
    """A page and what is known of it: `text` of an article, or `question` and `answer`."""

    group: str
    html: str
    source: Source
    text: str = ""
    question: str = ""
    answer: str = ""

    @property
    def known(self) -> str:
        return self.text or f"{self.question}\n{self.answer}"


# The readers ------------------------------------------------------------------------------------
def by_rules(page: Page) -> str:
    return _text(read_page(page.html, page.source, MIN_WORDS))


def by_fallback(page: Page) -> str:
    """As if its source had no rules."""
    return _text(read_page(page.html, page.source.model_copy(update={"extract": Rules()}), MIN_WORDS))


def by_trafilatura(page: Page) -> str:
    return trafilatura.extract(page.html, include_comments=False) or ""


def _text(found: object) -> str:
    if isinstance(found, Article):
        return found.text
    return f"{found.question}\n{found.answer}" if isinstance(found, Pair) else ""


READERS: dict[str, Reader] = {"rules": by_rules, "fallback": by_fallback, "trafilatura": by_trafilatura}


# The pages --------------------------------------------------------------------------------------
def demo_pages() -> Iterator[Page]:
    sites = {site.name: (site, load_source(name)) for name, site in (("demo-magazine", Magazine()), ("demo-forum", Forum()))}
    for row in truth():
        if row.site in sites and row.kind in ("article", "qa"):
            site, source = sites[row.site]
            ask = Ask(urlsplit(row.url).path, {}, {}, row.url)
            reply = site.answer(ask)
            if reply.status != 200:  # one page fails once
                reply = site.answer(ask)
            html = decode(reply.body, reply.content_type).text
            yield Page(f"demo {source.name.removeprefix('demo-')}", html, source, row.text, row.question, row.answer)


def replay_pages(server: ModuleType) -> Iterator[Page]:
    sources = {name: load_source(str(REPLAY_SOURCES / f"{name}.yaml")) for name in ("forum", "family", "magazine", "hostile")}
    for row in server.truth():
        if row["site"] in sources and row["kind"] in ("article", "qa"):
            kind = f" {row['kind']}s" if row["site"] == "family" else ""
            texts = (row.get("text", ""), row.get("question", ""), row.get("answer", ""))
            yield Page(f"{row['site']}{kind}", _replay_html(server, row["site"], row["path"]), sources[row["site"]], *texts)


def _replay_html(server: ModuleType, site: str, path: str) -> str:
    """As a client decodes it; some pages answer with an error once or twice."""
    status = 0
    while status != 200:
        status, body, options = server.SITES[site](unquote(path), {})
    sent = body.replace("{host}", "site.test").encode(options.get("enc", "utf-8"), "replace")
    if options.get("corrupt"):
        sent = sent[:900] + b"\xff\xfe\x80" + sent[900:]
    return decode(sent, options.get("type", "text/html; charset=utf-8")).text


def load_server(folder: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("serve_sites", folder / "serve_sites.py")
    assert spec and spec.loader
    server = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(server)
    return server


# The figures ------------------------------------------------------------------------------------
def f1(found: str, known: str) -> float:
    """Of the words of two texts, each as often as it occurs."""
    ours, theirs = Counter(found.split()), Counter(known.split())
    common = (ours & theirs).total()
    return 2 * common / (ours.total() + theirs.total()) if common else 0.0


def is_exact(found: str, known: str) -> bool:
    """Equal but for white space."""
    return found.split() == known.split()


def has_foreign(found: str, known: str) -> bool:
    return any(phrase in found and phrase not in known for phrase in FOREIGN)


def pages_a_second(pages: list[Page], repeat: int) -> dict[str, list[float]]:
    """By reader, of each round."""
    rates: dict[str, list[float]] = {name: [] for name in READERS}
    for _ in range(repeat):
        for name, read in READERS.items():
            started = time.process_time()
            for page in pages:
                read(page)
            rates[name].append(len(pages) / (time.process_time() - started))
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replay", type=Path)
    parser.add_argument("--timed", type=int, default=100, help="pages of each group that are timed (default: %(default)s)")
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    pages = [*demo_pages(), *(replay_pages(load_server(options.replay)) if options.replay else ())]
    groups = {name: list(group) for name, group in groupby(sorted(pages, key=lambda page: page.group), lambda page: page.group)}
    samples = {name: random.Random(0).sample(group, min(options.timed, len(group))) for name, group in groups.items()}
    print(f"trafilatura {trafilatura.__version__}, {options.repeat} rounds, {date.today()}, {machine()}\n")
    print(
        "| pages | number | KB | rules, 1/s | fallback, 1/s | trafilatura, 1/s | rules / trafilatura | fallback / trafilatura |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for name, sample in samples.items():
        print(_speed_row(name, sample, pages_a_second(sample, options.repeat)))
    print("\n| pages | number | reader | F1 | lowest F1 | exact | with an ad, a comment or a footer |")
    print("|---|---:|---|---:|---:|---:|---:|")
    for name, group in groups.items():
        print(_quality_row(name, group, "rules", by_rules))
        print(_quality_row(name, group, "fallback", by_fallback))
        print(_quality_row(name, samples[name], "trafilatura", by_trafilatura))
        print(_quality_row(name, samples[name], "trafilatura, ZWNJ aside", by_trafilatura, ignored=ZWNJ))


def _speed_row(name: str, sample: list[Page], rates: dict[str, list[float]]) -> str:
    size = statistics.mean(len(page.html.encode()) for page in sample) / 1000
    cells = [f"{statistics.median(rates[reader]):,.0f}" for reader in READERS]
    for reader in ("rules", "fallback"):
        ratios = sorted(ours / theirs for ours, theirs in zip(rates[reader], rates["trafilatura"], strict=True))
        cells.append(f"{statistics.median(ratios):.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f})")
    return f"| {name} | {len(sample)} | {size:.0f} | {' | '.join(cells)} |"


def _quality_row(name: str, pages: list[Page], reader: str, read: Reader, ignored: str = "") -> str:
    both = [(read(page).replace(ignored, ""), page.known.replace(ignored, "")) for page in pages]
    scores = [f1(*texts) for texts in both]
    exact, foreign = sum(is_exact(*texts) for texts in both), sum(has_foreign(*texts) for texts in both)
    share = f"{exact / len(both):.2%}"
    return f"| {name} | {len(both):,} | {reader} | {statistics.mean(scores):.4f} | {min(scores):.3f} | {share} | {foreign} |"


if __name__ == "__main__":
    main()
