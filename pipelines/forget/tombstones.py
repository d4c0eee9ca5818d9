"""What a run has forgotten, as salted hashes: enough to refuse a page again, and no list of who asked; 2 µs an address.

`DIR/forgotten/` holds the run's salt and a record for each request. Who has both can try addresses out, but not read them.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from pydantic import BaseModel

from cluster.errors import UserError
from cluster.storage import Storage, open_storage
from pipelines.crawl.urls import canonical_url

FOLDER = "forgotten"
SALT = f"{FOLDER}/salt"
REASON = "forgotten"


class Record(BaseModel):
    """One request: the hashes of what is forgotten, and what its removal needs to know if it is killed half-way."""

    urls: list[str] = []
    hosts: list[str] = []
    ids: list[str] = []  # of the cleaned rows that came from there, until they are removed
    models: list[str] = []  # folders of the models that were trained on them
    finished: bool = False


@dataclass(frozen=True)
class Tombstones:
    """Everything that is forgotten, for looking addresses up."""

    salt: bytes = b""
    urls: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.urls or self.hosts)

    def covers(self, url: str | None) -> bool:
        """Whether an address is forgotten, itself or by its host."""
        if not self or not url:
            return False
        return self.hash(page_key(url)) in self.urls or any(self.hash(host) in self.hosts for host in _hosts(url))

    def refuses(self, url: str) -> bool:
        """Whether nothing may be requested under this address; nor under a pseudonym, which stands where one was refused."""
        return url.startswith(f"{REASON}:") or self.covers(url)

    def hash(self, key: str) -> str:
        return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), key=self.salt, digest_size=12).hexdigest()

    def pseudonym(self, url: str) -> str:
        """What stands for a forgotten address where it has to be counted."""
        return f"{REASON}:{self.hash(page_key(url))}"

    @classmethod
    def of(cls, salt: bytes, records: Iterable[Record]) -> Tombstones:
        known = list(records)
        urls, hosts = ([name for record in known for name in getattr(record, kind)] for kind in ("urls", "hosts"))
        return cls(salt, frozenset(urls), frozenset(hosts))

    @classmethod
    def load(cls, root: Storage) -> Tombstones:
        """Those of a run."""
        paths = [path for path in root.list(FOLDER) if path.endswith(".json")]
        return cls.of(root.read(SALT), (Record.model_validate_json(root.read(path)) for path in paths)) if paths else cls()

    @classmethod
    def beside(cls, folder: Storage) -> Tombstones:
        """Those of the run that a step's folder, `DIR/<step>/<fingerprint>`, belongs to."""
        return cls.load(open_storage(folder.url.rsplit("/", 2)[0]))


NOTHING = Tombstones()


@dataclass(frozen=True)
class Target:
    """What somebody asks to be forgotten: a page, or a host with its subdomains."""

    is_host: bool
    key: str

    @classmethod
    def parse(cls, text: str) -> Target:
        """Raises UserError for what is neither an address nor the name of a host."""
        text = text.strip()
        if "://" in text or text.startswith("file:"):  # the second is how rows of files without addresses are called
            return cls(False, page_key(text))
        url = canonical_url(f"http://{text}")
        if not url or any(character.isspace() for character in text):
            raise UserError(f"forget {text!r}: write an address (https://example.org/page) or a host (example.org)")
        if urlsplit(url).path not in ("", "/") or urlsplit(url).query:
            return cls(False, page_key(url))
        return cls(True, _host_key(urlsplit(url).netloc))

    def record(self, salt: bytes) -> Record:
        hashed = [Tombstones(salt).hash(self.key)]
        return Record(hosts=hashed) if self.is_host else Record(urls=hashed)

    def record_path(self, salt: bytes) -> str:
        """Where the run keeps the record of this request."""
        return f"{FOLDER}/{Tombstones(salt).hash(f'{self.is_host} {self.key}')}.json"


def salt_of(root: Storage) -> bytes:
    """The run's salt, made when there is none."""
    root.create(SALT, secrets.token_bytes(16))
    return root.read(SALT)


def page_key(url: str) -> str:
    """What addresses of one page have in common: http or https, with or without `www.` and a slash at the end."""
    known = canonical_url(url)
    return known.split("://", 1)[1].removeprefix("www.").rstrip("/") if known else url


def _host_key(netloc: str) -> str:
    return netloc.removeprefix("www.")


def _hosts(url: str) -> Iterator[str]:
    """The host of an address, with and without its port, and the domains that it is below."""
    known = canonical_url(url)
    if not known:
        return
    netloc = _host_key(urlsplit(known).netloc)
    name, _, port = netloc.partition(":")
    if port:
        yield netloc
    labels = name.split(".")
    for first in range(len(labels)):
        yield ".".join(labels[first:])
