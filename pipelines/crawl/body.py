"""Bodies, unpacked piece by piece so that a small answer can't grow beyond the limit."""

from __future__ import annotations

import zlib


class TooLarge(ValueError):
    """A body is larger than the limit."""


class Unpacker:
    """Collects a body in the given content encoding. Raises TooLarge, or zlib.error for one that is damaged.

    After TooLarge `pieces` hold the body's first `limit` bytes.
    """

    def __init__(self, encoding: str, limit: int) -> None:
        self.limit = limit
        self.pieces: list[bytes] = []
        self.size = 0
        self._packed = encoding.strip().lower() in ("gzip", "x-gzip", "deflate")
        self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 32) if self._packed else None  # reads gzip and zlib headers

    def add(self, piece: bytes) -> None:
        if self._inflate is None:
            self._keep(piece)
            return
        while piece:
            if self._inflate.eof:  # gzip may have several members
                self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)
            self._keep(self._inflate.decompress(piece, self.limit - self.size + 1))
            piece = self._inflate.unconsumed_tail or self._inflate.unused_data

    def body(self) -> bytes:
        """All of it. Raises zlib.error when a packed body stops short."""
        if self._inflate is not None and self.pieces and not self._inflate.eof:
            raise zlib.error("the packed body ends too early")
        return b"".join(self.pieces)

    def _keep(self, piece: bytes) -> None:
        self.pieces.append(piece[: self.limit - self.size])
        self.size += len(piece)
        if self.size > self.limit:
            raise TooLarge(f"more than {self.limit} bytes")


def gunzip(body: bytes, limit: int) -> bytes:
    """Raises TooLarge, or ValueError for what is no gzip."""
    unpacker = Unpacker("gzip", limit)
    try:
        unpacker.add(body)
        return unpacker.body()
    except zlib.error as error:
        raise ValueError(f"damaged gzip: {error}") from error
