"""What the HTTP face counts, in Prometheus' words; one set per ingress replica."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from serving.engines.base import Usage

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "gaokerena_requests", "Requests by route and HTTP status", ["route", "status"], registry=self.registry
        )
        self._tokens = Counter("gaokerena_tokens", "Tokens by kind: prompt or completion", ["kind"], registry=self.registry)
        self.in_flight = Gauge("gaokerena_requests_in_flight", "Answers being written", registry=self.registry)
        self.first_token = Histogram(
            "gaokerena_time_to_first_token_seconds",
            "From the request to the first piece",
            buckets=SECONDS,
            registry=self.registry,
        )
        self.duration = Histogram(
            "gaokerena_request_seconds", "From the request to the last piece", buckets=SECONDS, registry=self.registry
        )

    def request(self, route: str, status: int) -> None:
        self._requests.labels(route, str(status)).inc()

    def usage(self, usage: Usage | None) -> None:
        if usage:
            self._tokens.labels("prompt").inc(usage.prompt_tokens)
            self._tokens.labels("completion").inc(usage.completion_tokens)

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)
