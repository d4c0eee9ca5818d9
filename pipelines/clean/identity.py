"""Names for texts: the same text of the same source has the same id in every crawl; 1 µs each."""

from __future__ import annotations

import hashlib


def content_id(kind: str, source: str, *texts: str) -> str:
    """16 hex digits of BLAKE2b. Give it redacted text: a hash of a phone number can be guessed back from its id."""
    encoded = "\x1f".join((kind, source, *texts)).encode()
    return hashlib.blake2b(encoded, digest_size=8).hexdigest()


def hash64(text: str) -> int:
    """An unsigned 64-bit hash that is the same in every process."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def split_chance(seed: int, name: str) -> float:
    """A number in [0, 1) that depends on nothing but the seed and the name."""
    return hash64(f"split:{seed}:{name}") / 2**64
