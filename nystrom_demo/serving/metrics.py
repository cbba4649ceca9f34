"""What the server counts about itself, as Prometheus reads it at /metrics: never a text, an address or a page."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from nystrom_demo.limits.cache import ANSWERS
from nystrom_demo.serving.worker_pool import WorkerPool

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
SECONDS = (0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)  # where a request's seconds are told apart


class Metrics:
    """One server's counts. A registry of its own, so that several servers of one process do not share them."""

    def __init__(self, pool: WorkerPool):
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)  # resident memory, CPU seconds, open files
        self._requests = Counter(
            "nystrom_requests", "Requests that came to their end.", ("handler", "outcome"), registry=registry
        )
        self._refusals = Counter("nystrom_refusals", "Requests refused.", ("reason",), registry=registry)
        self._total = Histogram(
            "nystrom_request_seconds", "From a request's coming to its end.", buckets=SECONDS, registry=registry
        )
        self._worked = Histogram(
            "nystrom_worked_seconds", "Of a worker, a request.", buckets=SECONDS, registry=registry
        )
        for name, words, value in (
            ("nystrom_queue", "Requests that wait for a worker.", pool.waiting),
            ("nystrom_running", "Requests that a worker is at.", lambda: pool.running),
            ("nystrom_workers", "Workers.", lambda: pool.workers),
            ("nystrom_answers_bytes", "Memory of answers kept for those who ask again.", lambda: ANSWERS.num_bytes),
        ):
            Gauge(name, words, registry=registry).set_function(value)

    def note_request(self, handler: str, outcome: str, seconds: float, worked: float) -> None:
        """Count a request that came to its end."""
        self._requests.labels(handler, outcome).inc()
        self._total.observe(seconds)
        self._worked.observe(worked)

    def note_refusal(self, reason: str) -> None:
        """Count a refusal, by `UserError.reason`, or as "http 503" and the like at the door."""
        self._refusals.labels(reason).inc()

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self._registry)
