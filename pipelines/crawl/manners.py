"""What is known of a host between slices: its robots.txt, until when it wants to be left alone, whether it is down."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field

from cluster.storage import Storage
from pipelines.crawl.robots import Robots

FILE = "manners.json"
FAULTS_OF_AN_OUTAGE = 3  # faults in a row after which it is the host that does not answer, not a page


@dataclass
class Manners:
    """`robots` by origin; times in unix seconds. `answers`: it has given a page before."""

    robots: dict[str, Robots] = field(default_factory=dict)
    resumes_at: float = 0.0
    answers: bool = False
    faults: int = 0  # in a row
    faulty_since: float = 0.0

    @classmethod
    def load(cls, folder: Storage) -> Manners:
        try:
            kept = json.loads(folder.read(FILE))
        except FileNotFoundError:
            return cls()
        robots = {origin: Robots(**values) for origin, values in kept.pop("robots").items()}
        return cls({origin: r for origin, r in robots.items() if not r.is_stale(time.time())}, **kept)

    def save(self, folder: Storage) -> None:
        """A robots.txt that did not answer is not kept: the next slice asks again."""
        robots = {origin: asdict(r) for origin, r in self.robots.items() if r.text is not None}
        folder.write(FILE, json.dumps({**asdict(self), "robots": robots}).encode())

    def answered(self) -> None:
        """The host gave a page."""
        self.answers, self.faults = True, 0

    def failed(self, now: float) -> None:
        """The host did not answer, or said that it can't."""
        self.faulty_since = self.faulty_since if self.faults else now
        self.faults += 1

    def is_down(self, now: float, patience: float) -> bool:
        """Whether a host that used to answer has stopped, for less than `patience` seconds: then its pages keep their tries."""
        return self.answers and self.faults >= FAULTS_OF_AN_OUTAGE and now - self.faulty_since < patience
