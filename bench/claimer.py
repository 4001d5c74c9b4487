"""One worker of the queue: claims work at the gateway and completes it, until there is none.

`python -m bench.claimer API_URL TOKEN LEASE_SECONDS LOG`; each claim and each completion is a line
of the log, written before the next request: `claimed ID` and `done ID SECONDS`. It reads and writes
its socket itself, so that twenty of them cost little.
"""

import json
import socket
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httptools

WAIT_SECONDS = 2
TIMEOUT_SECONDS = 60
NO_CONTENT = 204
OK = 200
CHUNK = 65_536

PAIR_BYTES = 105
"""What a claim and its completion add to the log."""


class Answer:
    """A response, as far as it has arrived."""

    def __init__(self) -> None:
        self.content = b""
        self.is_complete = False

    def on_body(self, part: bytes) -> None:
        """Take a part of the content."""
        self.content += part

    def on_message_complete(self) -> None:
        """Note that all has arrived."""
        self.is_complete = True


class Gateway:
    """One connection, kept open."""

    def __init__(self, url: str, token: str) -> None:
        """Connect."""
        address = urlsplit(url)
        self._socket = socket.create_connection(
            (address.hostname or "", address.port or 80), TIMEOUT_SECONDS
        )
        self._headers = (
            f"HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {token}\r\n"
            "Content-Type: application/json\r\nContent-Length: "
        )

    def post(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        """The status and the JSON of the response."""
        content = json.dumps(body)
        request = f"POST /api/v1/queue/{path} {self._headers}{len(content)}\r\n\r\n{content}"
        self._socket.sendall(request.encode())
        answer = Answer()
        parser = httptools.HttpResponseParser(answer)
        while not answer.is_complete:
            arrived = self._socket.recv(CHUNK)
            if not arrived:
                raise ConnectionError("the gateway closed the connection")
            parser.feed_data(arrived)
        return parser.get_status_code(), json.loads(answer.content) if answer.content else None


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
            lines.write(f"done {claimed['id']} {time.time():.6f}\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), Path(sys.argv[4]))
