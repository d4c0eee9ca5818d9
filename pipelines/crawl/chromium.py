"""Which Chromium draws JavaScript pages, and how it is started so that it goes nowhere on its own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from cluster.errors import UserError

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    # Every request of a page is answered by our own client; whatever slips past it finds no address.
    "--host-resolver-rules=MAP * ~NOTFOUND",
)


def chromium_path(wanted: str) -> str:
    """The path given, else the system's, else Playwright's own. Raises UserError."""
    if wanted:
        if not os.access(wanted, os.X_OK):
            raise UserError(f"crawl.chromium = {wanted!r}: there is no program; leave it empty to use the system's Chromium")
        return wanted
    for name in NAMES:
        if found := shutil.which(name):
            return found
    for found_path in _of_playwright():
        return str(found_path)
    raise UserError(
        "no Chromium was found, and a source renders its pages in the browser: install it (apt-get install chromium, "
        "or playwright install chromium), or name its path with --set crawl.chromium=/path/to/chromium"
    )


def flags() -> list[str]:
    """Root has no sandbox to enter, so only root starts Chromium without one."""
    return [*FLAGS, "--no-sandbox"] if os.geteuid() == 0 else list(FLAGS)


def _of_playwright() -> list[Path]:
    folder = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or "~/.cache/ms-playwright").expanduser()
    return sorted([*folder.glob("chromium*/chrome-linux*/chrome"), *folder.glob("chromium*/chrome-linux*/*headless*shell")])
