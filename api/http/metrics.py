"""What `/metrics` tells of the gateway itself."""

from functools import lru_cache

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter("perdure_http_requests", "Requests answered.", ["method", "route", "status"])
SECONDS = Histogram(
    "perdure_http_request_seconds",
    "Seconds until a response was complete; event streams count while they last.",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
STREAMS = Gauge("perdure_event_streams", "Open event streams.")
WAITS = Gauge("perdure_waits", "Requests that wait for an execution to settle.")


def observe(method: str, route: str, status: int, seconds: float) -> None:
    """Count one answered request. `route` is the template, so that ids make no series."""
    counter, histogram = _series(method, route, status)
    counter.inc()
    histogram.observe(seconds)


# Methods come from clients, so the cache is bounded; routes and statuses are few.
@lru_cache(maxsize=1024)
def _series(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    return REQUESTS.labels(method, route, str(status)), SECONDS.labels(method, route)
