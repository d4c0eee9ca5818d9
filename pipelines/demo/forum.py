"""The forum: question pages marked up as schema.org QAPage; only the newest are listed, the rest is found by links."""

from __future__ import annotations

import random

from pipelines.demo.content import Pair, forum
from pipelines.demo.pages import Ask, Reply, html, text

LISTED = 60
PER_PAGE = 20
ROBOTS = "User-agent: *\nDisallow: /search\nCrawl-delay: 0\n"


class Forum:
    """forum.demo.test"""

    name = "forum.demo.test"
    origin = f"http://{name}"

    def __init__(self) -> None:
        self.pairs = {pair.id: pair for pair in forum()}

    def answer(self, ask: Ask) -> Reply:
        section, _, page = ask.path.strip("/").partition("/")
        if ask.path == "/robots.txt":
            return text(ROBOTS)
        if ask.path == "/":
            return html("forum_home.html.j2", origin=self.origin)
        if ask.path == "/search":
            return html("forum_message.html.j2", origin=self.origin, title="جستجو", message="نتیجه‌ای پیدا نشد.")
        if ask.path == "/q/ask":
            return html("forum_ask.html.j2", origin=self.origin)
        if section == "q" and page.startswith("page-") and page[5:].isdecimal():
            return self.list_page(int(page[5:]))
        if section == "q" and page.isdecimal() and int(page) in self.pairs:
            return self.question_page(self.pairs[int(page)])
        return html("forum_message.html.j2", 404, origin=self.origin, title="یافت نشد", message="این پرسش را نداریم.")

    def list_page(self, number: int) -> Reply:
        """Twenty questions, newest first, of the newest sixty."""
        newest = sorted(self.pairs.values(), key=lambda pair: -pair.id)[:LISTED]
        shown = newest[(number - 1) * PER_PAGE : number * PER_PAGE]
        if number < 1 or not shown:
            return html("forum_message.html.j2", 404, origin=self.origin, title="یافت نشد", message="این صفحه خالی است.")
        numbers = range(1, -(-len(newest) // PER_PAGE) + 1)
        return html("forum_list.html.j2", origin=self.origin, pairs=shown, number=number, numbers=numbers)

    def question_page(self, pair: Pair) -> Reply:
        return html("forum_question.html.j2", origin=self.origin, pair=pair, related=self.related(pair))

    def related(self, pair: Pair) -> list[Pair]:
        """Twelve others: the four neighbours by id (so that every question is linked), four of its topic, four of any."""
        count = len(self.pairs)
        ids = [(pair.id - 1 + step) % count + 1 for step in (-2, -1, 1, 2)]
        rest = [other for other in self.pairs.values() if other.id not in (*ids, pair.id)]
        random.Random(pair.id).shuffle(rest)
        same_topic = [other.id for other in rest if other.topic == pair.topic][:4]
        ids += same_topic + [other.id for other in rest if other.id not in same_topic][: 8 - len(same_topic)]
        return [self.pairs[id] for id in ids]
