"""Lists that load more of themselves: by a button, or by scrolling to their end."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines.crawl.source import Source
from pipelines.crawl.supply import Supply

if TYPE_CHECKING:
    from playwright.async_api import Page

PARTS = 500
GROWING_SECONDS = 600.0
SETTLE_SECONDS = 2.0  # a page that asks for nothing new and has not grown for so long has come to its end
LOOK_EVERY = 0.05

# Styles are not loaded, so a button may have no size: it counts as hidden only where the page says so.
LOOK = """([button]) => {
  const found = button && document.querySelector(button);
  const hidden = !found || !found.checkVisibility();
  return {
    links: document.links.length,
    characters: document.body?.textContent.length ?? 0,
    height: document.documentElement?.scrollHeight ?? 0,
    size: document.documentElement?.outerHTML.length ?? 0,
    button: hidden ? "gone" : found.disabled || found.ariaDisabled === "true" ? "busy" : "there",
  };
}"""
PUSH = """([button, scroll]) => {
  const found = button && document.querySelector(button);
  if (found && found.checkVisibility() && !found.disabled) found.click();
  if (!scroll) return;
  document.links[document.links.length - 1]?.scrollIntoView();
  window.scrollTo(0, document.documentElement.scrollHeight);
  window.dispatchEvent(new Event("scroll"));  // where all of it is in view already, nothing moves
}"""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Extent:
    """How much a page shows. `button`: there, busy (it can't be pressed now) or gone; `size` in characters of HTML."""

    links: int
    characters: int
    height: int
    size: int
    button: str

    def exceeds(self, other: Extent) -> bool:
        """Whether it shows more, be it a button that was not there."""
        has_new_button = self.button == "there" != other.button
        return has_new_button or self.links > other.links or self.characters > other.characters or self.height > other.height


async def grow(page: Page, source: Source, supply: Supply) -> None:
    """Press and scroll until nothing new comes; a list without an end is cut where it reaches a limit."""
    until = time.monotonic() + GROWING_SECONDS
    limit = supply.fetcher.settings.max_body_bytes
    extent = await _look(page, source)
    for _ in range(PARTS):
        if extent.button != "there" and not source.scroll:
            return
        supply.grow()
        await page.evaluate(PUSH, [source.more, source.scroll])
        before, extent = extent, await _settled(page, source, supply, extent)
        if not extent.exceeds(before):
            return
        if time.monotonic() > until or 2 * extent.size - before.size > limit:  # the next part might be too much
            break
    log.warning("source %s: a list that was still growing was cut", source.name)


async def _settled(page: Page, source: Source, supply: Supply, before: Extent) -> Extent:
    """The page when it has grown and can grow again, or when nothing happens any more."""
    while True:
        extent = await _look(page, source)
        quiet = supply.quiet_seconds
        if quiet > SETTLE_SECONDS or (quiet and extent.exceeds(before) and extent.button != "busy"):
            return extent
        await asyncio.sleep(LOOK_EVERY)


async def _look(page: Page, source: Source) -> Extent:
    return Extent(**await page.evaluate(LOOK, [source.more]))
