"""What went over the wire with one host, as WARC records (ISO 28500), for those who archive a crawl."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import urlsplit

from warcio.archiveiterator import ArchiveIterator
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

FOLDER = "warc"
_TRANSFER_ONLY = frozenset({"transfer-encoding", "content-length", "connection", "keep-alive"})


class Tape:
    """Collects exchanges until they are taken: a request record for each, and a response record where there was one."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._buffer = io.BytesIO()
        self._writer = WARCWriter(self._buffer, gzip=True)

    def write(
        self,
        url: str,
        request: Mapping[str, str],
        status: str = "",
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        truncated: str = "",
    ) -> None:
        """One exchange. `status`: `200 OK`; empty when no answer came. `body`: as sent, content encoding and all.

        `truncated`: why the body is not whole: length, time, disconnect or unspecified.
        """
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        sent = StatusAndHeaders(f"GET {target} HTTP/1.1", [("Host", parts.netloc), *request.items()], is_http_request=True)
        asked = self._writer.create_warc_record(url, "request", http_headers=sent)
        if not status:
            self._writer.write_record(asked)
            return
        kept = [(name, value) for name, value in headers if name.lower() not in _TRANSFER_ONLY]
        got = StatusAndHeaders(status, [*kept, ("Content-Length", str(len(body)))], protocol="HTTP/1.1")
        more = {"WARC-Truncated": truncated} if truncated else {}
        answer = self._writer.create_warc_record(
            url, "response", payload=io.BytesIO(body), length=len(body), http_headers=got, warc_headers_dict=more
        )
        self._writer.write_request_response_pair(asked, answer)

    def take(self) -> bytes:
        """The records since the last time, each gzipped; empty when there were none."""
        records = self._buffer.getvalue()
        self._start()
        return records


def warc_file(records: Iterable[bytes]) -> bytes:
    """A whole file of what tapes gave."""
    buffer = io.BytesIO()
    writer = WARCWriter(buffer, gzip=True)
    writer.write_record(writer.create_warcinfo_record("gaokerena.warc.gz", {"software": "gaokerena"}))
    return buffer.getvalue() + b"".join(records)


def without(file: bytes, is_gone: Callable[[str], bool]) -> tuple[bytes, int]:
    """The file without the exchanges of some addresses, and how many records that leaves out."""
    buffer = io.BytesIO()
    writer = WARCWriter(buffer, gzip=True)
    gone = 0
    for record in ArchiveIterator(io.BytesIO(file), no_record_parse=True):
        if is_gone(record.rec_headers.get_header("WARC-Target-URI") or ""):
            gone += 1
        else:
            writer.write_record(record)
    return (buffer.getvalue(), gone) if gone else (file, 0)


def name_of(prefix: str, number: int, epoch: int) -> str:
    """The file with the exchanges of a host's segment."""
    return f"{FOLDER}/{prefix}-{number:06d}.e{epoch:06d}.warc.gz"
