"""The command line's requests where connections break."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from cli.connection.client import Client, NoGatewayError
from cli.connection.endpoint import Endpoint, UnreachableError

IN_PROGRESS = {"code": "idempotency_in_progress", "detail": "The first one is being handled."}


@contextmanager
def answering(*answers: tuple[int, object] | None) -> Iterator[tuple[Endpoint, list[str]]]:
    """A server that gives these answers, one after the other; None drops the connection.

    A body of bytes is sent as it is, others as JSON.
    """
    keys: list[str] = []
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            keys.append(self.headers["Idempotency-Key"])
            assert self.headers["Perdure-Client"] == "cli"
            answer = left.pop(0)
            if answer is None:
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
            status, body = answer
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its own name
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        yield Endpoint(f"http://127.0.0.1:{server.server_port}", "token"), keys
        server.shutdown()
        serving.join()


def test_a_start_is_repeated_under_one_key_until_it_is_answered() -> None:
    unavailable = (503, {"detail": "The database is unavailable."})
    answers = (None, unavailable, (409, IN_PROGRESS), (202, {"id": "x"}))
    with answering(*answers) as (endpoint, keys), Client(endpoint) as client:
        assert client.start("execute_work", {"prompt": "x"}) == {"id": "x"}
    assert len(keys) == 4
    assert len(set(keys)) == 1


def test_without_a_gateway_a_start_fails_at_once() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        endpoint = Endpoint(f"http://127.0.0.1:{closed.getsockname()[1]}", "token")
        with Client(endpoint) as client, pytest.raises(UnreachableError):
            client.start("execute_work", {"prompt": "x"})


def test_an_answer_that_is_not_json_names_the_address_to_correct() -> None:
    with answering((200, b"<html>Welcome</html>")) as (endpoint, _), Client(endpoint) as client:
        with pytest.raises(NoGatewayError) as refused:
            client.call("execute_work", {"prompt": "x"})
        assert f"{endpoint.api_url} answered with" in str(refused.value)
        assert "PERDURE_API_URL" in str(refused.value)


def test_a_refusal_of_another_server_names_the_address_to_correct() -> None:
    answer = (404, {"code_of": "no gateway"})
    with answering(answer) as (endpoint, _), Client(endpoint) as client:
        with pytest.raises(NoGatewayError) as refused:
            client.call("execute_work", {"prompt": "x"})
        assert "PERDURE_API_URL" in str(refused.value)
