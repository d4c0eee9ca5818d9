"""Names for published rows: a salted hash of the row's own, so that nobody can look up whether a text they know is in it.

Without the salt an id can't be led back to the run's restricted tables. It never leaves run storage.
"""

from __future__ import annotations

import hashlib
import secrets

from cluster.storage import LocalStorage, Storage

SALT_FILE = "restricted/publication-salt"
SALT_BYTES = 32


def salt_of(root: Storage) -> bytes:
    """The salt of a run, made once: ids stay from one publication to the next."""
    if isinstance(root, LocalStorage):  # before the file is there, so that nobody else ever reads it
        (root.root / SALT_FILE).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    root.create(SALT_FILE, secrets.token_bytes(SALT_BYTES))
    return root.read(SALT_FILE)


def salted(row_id: str, salt: bytes) -> str:
    """16 hex digits of keyed BLAKE2b."""
    return hashlib.blake2b(row_id.encode(), key=salt, digest_size=8).hexdigest()
