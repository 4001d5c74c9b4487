"""One worker of the queue: claims work at the gateway and completes it, until there is none.

`python -m bench.claimer API_URL TOKEN LEASE_SECONDS LOG`; each claim and each completion is a line
of the log, written before the next request: `claimed ID` and `done ID SECONDS`. It imports only the
standard library, so that twenty of them cost little.
"""

import http.client
import json
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

WAIT_SECONDS = 2
NO_CONTENT = 204
OK = 200


class Gateway:
    """One connection, kept open."""

    def __init__(self, url: str, token: str) -> None:
        """Connects with the first request."""
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def post(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        """The status and the JSON of the response."""
        self._connection.request(
            "POST", f"/api/v1/queue/{path}", json.dumps(body).encode(), self._headers
        )
        response = self._connection.getresponse()
        content = response.read()
        return response.status, json.loads(content) if content else None


def main(url: str, token: str, lease_seconds: float, log: Path) -> None:
    """Work until a claim finds nothing twice."""
    gateway = Gateway(url, token)
    idle = 0
    with log.open("a", buffering=1, encoding="utf-8") as lines:
        while idle < 1 + lease_seconds / WAIT_SECONDS:  # work of a killed worker returns
            claim = {"lease_seconds": lease_seconds, "worker": log.stem}
            status, claimed = gateway.post(f"claim?wait={WAIT_SECONDS}", claim)
            if status == NO_CONTENT:
                idle += 1
                continue
            assert status == OK, claimed
            idle = 0
            lines.write(f"claimed {claimed['id']}\n")
            report = {"lease_token": claimed["lease_token"], "summary": "done"}
            status, done = gateway.post(f"{claimed['id']}/complete", report)
            assert status == OK, done
            lines.write(f"done {claimed['id']} {time.time()}\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), Path(sys.argv[4]))
