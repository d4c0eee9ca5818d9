"""Shows how far the hosts are while their slices run, from the notes that their owners leave on run storage."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pipelines.artifact import ArtifactFolder
from pipelines.crawl.owner import PROGRESS, REPORT_EVERY
from pipelines.crawl.segments import unit_prefix
from pipelines.progress import Progress


@contextmanager
def watching(out: ArtifactFolder, hosts: Sequence[str], progress: Progress) -> Iterator[None]:
    """Progress in pages, from a thread, until the block ends."""
    stop = threading.Event()
    thread = threading.Thread(target=_watch, args=(out, hosts, progress, stop), name="crawl-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _watch(out: ArtifactFolder, hosts: Sequence[str], progress: Progress, stop: threading.Event) -> None:
    shown = 0
    while not stop.wait(REPORT_EVERY):
        notes = [note for host in dict.fromkeys(hosts) if (note := _note(out, host))]
        done, failed, queued = (sum(note[key] for note in notes) for key in ("done", "failed", "queued"))
        if done != shown:
            progress.total(done + queued, done=shown)
            progress.advance(done - shown, f"{queued:,} queued, {failed:,} not stored")
            shown = done


def _note(out: ArtifactFolder, host: str) -> dict[str, int] | None:
    try:
        note: dict[str, int] = json.loads(out.folder.read(f"hosts/{unit_prefix(host)}/{PROGRESS}"))
    except FileNotFoundError:
        return None
    return note
