"""Prometheus metrics of the gateway (`/metrics`)."""

from functools import lru_cache

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter("perdure_http_requests", "Requests answered.", ["method", "route", "status"])
SECONDS = Histogram(
    "perdure_http_request_seconds",
    "Duration of requests until the response is complete, including event streams.",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
STREAMS = Gauge("perdure_event_streams", "Open event streams.")
WAITS = Gauge("perdure_waits", "Requests that wait for an execution to end or to need a person.")

TOOL_CALLS = Histogram(
    "perdure_mcp_tool_seconds",
    "Duration of calls of MCP tools. `outcome` is `ok`, `error` (the model reads why) or `failed`.",
    ["tool", "outcome"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600),
)


def observe(method: str, route: str, status: int, seconds: float) -> None:
    """Count one request. `route` is the path template, so that ids do not create series."""
    counter, histogram = _series(method, route, status)
    counter.inc()
    histogram.observe(seconds)


# Clients choose the method, so the cache is bounded; there are few routes and statuses.
@lru_cache(maxsize=1024)
def _series(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    return REQUESTS.labels(method, route, str(status)), SECONDS.labels(method, route)
