"""The same crawl by Scrapy, for tests/benchmarks/crawl.py: fetch, robots.txt, parse links, store body, URL and links.

    python spider.py PLAN.json OUT.jsonl --concurrency 1 [--own-seen]

PLAN.json maps each start URL to the patterns of what to follow on its host. Runs in an environment of its own, which
has Scrapy and nothing of this project.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import scrapy
from scrapy.crawler import CrawlerProcess
from scrapy.http import Response
from w3lib.url import url_query_cleaner


class Site(scrapy.Spider):
    """Follows what the plan says from every page.

    `own_seen`: drop known links by a set of URLs instead of leaving it to Scrapy, which makes a request object and a
    fingerprint of each.
    """

    name = "site"

    def __init__(self, plan: dict[str, list[str]], own_seen: bool) -> None:
        super().__init__()
        self.starts = list(plan)
        self.follow = {urlsplit(url).netloc: re.compile("|".join(patterns)) for url, patterns in plan.items()}
        self.seen: set[str] | None = set(self.starts) if own_seen else None

    async def start(self) -> AsyncIterator[scrapy.Request]:
        for url in self.starts:
            yield scrapy.Request(url)

    def parse(self, response: Response, **_: Any) -> Iterator[dict[str, Any] | scrapy.Request]:
        links = list(dict.fromkeys(self._links(response)))
        yield {"url": response.url, "body": response.text, "links": links}
        for link in links:
            if self.seen is None:
                yield scrapy.Request(link)
            elif link not in self.seen:
                self.seen.add(link)
                yield scrapy.Request(link, dont_filter=True)

    def _links(self, response: Response) -> Iterator[str]:
        """Links of the same host that the plan wants, without what tells where a visitor came from."""
        for href in response.css("a::attr(href)").getall():
            link = response.urljoin(href)
            if "utm_" in link:
                link = url_query_cleaner(link, ("utm_source",), remove=True)
            parts = urlsplit(link)
            pattern = self.follow.get(parts.netloc)
            if pattern and pattern.search(unquote(parts.path)):
                yield link


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plan", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--concurrency", type=int, required=True, help="requests in flight at a host")
    parser.add_argument("--own-seen", action="store_true")
    options = parser.parse_args()
    process = CrawlerProcess(
        {
            "USER_AGENT": "gaokerena-benchmark",
            "ROBOTSTXT_OBEY": True,
            "DOWNLOAD_DELAY": 0,
            "CONCURRENT_REQUESTS_PER_DOMAIN": options.concurrency,
            "COOKIES_ENABLED": False,
            "TELNETCONSOLE_ENABLED": False,
            "LOG_LEVEL": "ERROR",
            "FEEDS": {str(options.out): {"format": "jsonlines", "encoding": "utf-8"}},
        }
    )
    process.crawl(Site, plan=json.loads(options.plan.read_text(encoding="utf-8")), own_seen=options.own_seen)
    process.start()


if __name__ == "__main__":
    main()
