"""Where the demo web listens and how slowly it answers: execution only, since its pages never depend on it."""

from __future__ import annotations

from pipelines.settings import Settings, execution


class DemoWebSettings(Settings):
    """Settings of the demo web; none of them enters a fingerprint."""

    host: str = execution("127.0.0.1")
    """Address to listen on."""
    port: int = execution(0, ge=0, le=65533)
    """First of three consecutive ports, one a site; 0 takes any that are free."""
    delay_ms: float = execution(0, ge=0, le=60_000)
    """Milliseconds that every answer waits."""
