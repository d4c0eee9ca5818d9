"""How a host wants to be treated, kept between slices: its robots.txt, and until when it asked to be left alone."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field

from cluster.storage import Storage
from pipelines.crawl.robots import Robots

FILE = "manners.json"


@dataclass
class Manners:
    """`robots` by origin; `resumes_at` in unix seconds."""

    robots: dict[str, Robots] = field(default_factory=dict)
    resumes_at: float = 0.0

    @classmethod
    def load(cls, folder: Storage) -> Manners:
        try:
            kept = json.loads(folder.read(FILE))
        except FileNotFoundError:
            return cls()
        robots = {origin: Robots(**values) for origin, values in kept["robots"].items()}
        return cls({origin: r for origin, r in robots.items() if not r.is_stale(time.time())}, kept["resumes_at"])

    def save(self, folder: Storage) -> None:
        """A robots.txt that did not answer is not kept: the next slice asks again."""
        robots = {origin: asdict(r) for origin, r in self.robots.items() if r.text is not None}
        folder.write(FILE, json.dumps({"robots": robots, "resumes_at": self.resumes_at}).encode())
