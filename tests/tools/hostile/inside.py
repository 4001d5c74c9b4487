"""Runs in the sandbox: makes every attempt of a file, several at a time, and writes what it got.

The file is JSON: a list of [kind, argument, …]. The system's Python runs it, without packages.
"""

import json
import os
import socket
import ssl
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

SECONDS = 5
"""Of one attempt: attempts that are refused by a closed port or by the proxy end at once."""

Address = tuple[str, int]


def proxy(variable: str) -> Address:
    """Where the proxy listens in the sandbox."""
    parts = urlsplit(os.environ.get(variable, ""))
    return parts.hostname or "127.0.0.1", parts.port or 9


def connect(family: str, kind: str, address: Any) -> str:
    """Open a socket to an address, without a proxy."""
    given = tuple(address) if isinstance(address, list) else address
    with socket.socket(getattr(socket, family), getattr(socket, kind)) as opened:
        opened.settimeout(SECONDS)
        opened.connect(given)
        opened.send(b"GET / HTTP/1.0\r\n\r\n")
        return repr(opened.recv(100))


def talk(address: Address, *parts: bytes) -> str:
    """Send the parts, each after an answer to the one before."""
    with socket.create_connection(address, SECONDS) as opened:
        answers = []
        for part in parts:
            opened.sendall(part)
            answers.append(opened.recv(300))
            if b" 200 " not in answers[-1] and b"\x05\x00" not in answers[-1]:
                break
        return repr(answers)


def http(*parts: str) -> str:
    """Send raw text to the HTTP proxy."""
    return talk(proxy("http_proxy"), *(part.encode("utf-8", "surrogateescape") for part in parts))


def socks(*parts: str) -> str:
    """Send raw bytes, written as hexadecimal digits, to the SOCKS proxy."""
    return talk(proxy("all_proxy"), *map(bytes.fromhex, parts))


def socks_name(host: str, port: int) -> str:
    """Ask the SOCKS proxy for a name, and send a request."""
    name = host.encode("utf-8", "surrogateescape")[:255]
    asked = b"\x05\x01\x00\x03" + bytes([len(name)]) + name + port.to_bytes(2, "big")
    return talk(proxy("all_proxy"), b"\x05\x01\x00", asked, b"GET / HTTP/1.0\r\n\r\n")


def tls(target: str, server_name: str | None, piece: int) -> str:
    """Open a tunnel, and begin TLS with another name, `piece` bytes at a time."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    outgoing = ssl.MemoryBIO()
    layer = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=server_name)
    try:
        layer.do_handshake()
    except ssl.SSLWantReadError:
        hello = outgoing.read()
    with socket.create_connection(proxy("http_proxy"), SECONDS) as opened:
        opened.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
        first = opened.recv(300)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(hello), piece):
            opened.sendall(hello[start : start + piece])
        return repr([first, opened.recv(300)])


def shell(command: str) -> str:
    """Run a command."""
    done = subprocess.run(
        ["/bin/bash", "-c", command], capture_output=True, timeout=SECONDS * 2, check=False
    )
    return repr((done.returncode, done.stdout[-200:], done.stderr[-200:]))


KINDS = {f.__name__: f for f in (connect, http, socks, socks_name, tls, shell)}


def attempt(given: list[Any]) -> str:
    """Make one attempt; every failure is fine."""
    kind, *arguments = given
    try:
        return KINDS[kind](*arguments)
    except Exception as error:  # noqa: BLE001 - whatever stops it
        return f"{type(error).__name__}: {error}"


def main() -> None:
    """Make all attempts."""
    attempts = json.loads(Path(sys.argv[1]).read_text())
    with ThreadPoolExecutor(16) as pool:
        results = pool.map(attempt, attempts)
        lines = [f"{g!a} -> {ascii(r)[:300]}" for g, r in zip(attempts, results, strict=True)]
    Path(sys.argv[2]).write_text("\n".join(lines))
    sys.stdout.write(f"made {len(attempts)} attempts\n")


main()
