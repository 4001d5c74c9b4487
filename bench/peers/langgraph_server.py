"""LangGraph's Agent Server with its in-memory runtime, as `langgraph dev` starts it.

No other runtime of it works without a licence key. This one is for development and tests: state is
in the memory of one process, which writes it to files every ten seconds and when it stops.
"""

import sys
import threading
import time
import urllib.request
from contextlib import redirect_stdout
from urllib.error import URLError

from langgraph_api.cli import run_server

from bench.peers import langgraph_graph
from bench.peers.serving import announce_ready

IN_FLIGHT = 100
"""Runs that it works on at once: as many as the bench has in flight."""

POLL_SECONDS = 0.1


def main(port: str) -> None:
    """Serve runs until SIGTERM."""
    threading.Thread(target=_announce, args=[f"http://127.0.0.1:{port}/ok"], daemon=True).start()
    with redirect_stdout(sys.stderr):
        run_server(
            port=int(port),
            graphs={"agent": f"{langgraph_graph.__file__}:graph"},
            n_jobs_per_worker=IN_FLIGHT,
        )


def _announce(url: str) -> None:
    while True:
        try:
            urllib.request.urlopen(url).close()  # noqa: S310 - this machine
        except URLError:
            time.sleep(POLL_SECONDS)
        else:
            return announce_ready()


if __name__ == "__main__":
    main(sys.argv[1])
