"""The processes that a process started to draw pages."""

from __future__ import annotations

import psutil


def processes(kind: str, of: psutil.Process | None = None) -> list[psutil.Process]:
    """`kind`: driver, chromium (without what belongs to it) or renderer. Of this process unless another is given."""
    drivers = [child for child in (of or psutil.Process()).children() if "run-driver" in command(child)]
    if kind == "driver":
        return drivers
    chromiums = [child for driver in drivers for child in driver.children()]
    if kind == "chromium":
        return chromiums
    members = [child for chromium in chromiums for child in chromium.children(recursive=True)]
    return [member for member in members if "--type=renderer" in command(member)]


def family(of: psutil.Process | None = None) -> list[psutil.Process]:
    """All of them."""
    members = [(driver, *driver.children(recursive=True)) for driver in processes("driver", of)]
    return [process for group in members for process in group]


def command(process: psutil.Process) -> list[str]:
    """Its arguments; none when it ended meanwhile."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []
