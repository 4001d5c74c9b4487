"""Ports and plain HTTP on this machine: what is free, what is taken, what answers."""

import asyncio
import random
import socket
from contextlib import closing

# A health route on this machine answers in milliseconds; a probe that hangs is tried again.
PROBE_SECONDS = 2.0

LOOPBACK = "127.0.0.1"

# Below the ports that Linux and macOS give to outgoing connections.
SERVER_PORTS = range(20_000, 32_000)


def free_port() -> int:
    """A free port that no outgoing connection takes before a server listens there."""
    while not is_free(LOOPBACK, port := random.choice(SERVER_PORTS)):  # noqa: S311 - not a secret
        pass
    return port


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    with closing(socket.socket()) as probe:
        # As servers do: a connection in TIME_WAIT is no reason to refuse.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def describe_listener(port: int) -> str | None:
    """The process that listens on a port, such as `process 12 (postgres)`; None if it is unknown.

    The system shows processes of other users only to root.
    """
    import psutil  # it needs 4 MB, and most ports are free

    try:
        for connection in psutil.net_connections("tcp"):
            address, pid = connection.laddr, connection.pid
            is_listener = connection.status == psutil.CONN_LISTEN
            if is_listener and address and address.port == port and pid:
                return f"process {pid} ({psutil.Process(pid).name()})"
    except psutil.Error:
        return None  # it has ended, or this system asks for more rights
    return None


async def answers_ok(host: str, port: int, path: str, *, host_name: str | None = None) -> bool:
    """Whether `GET path` brings 200. By hand: the supervisor stays small without an HTTP client.

    `host_name` is the name in the Host header, if it is not that of the address.
    """
    name = host_name or f"{host}:{port}"
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
            with closing(writer):
                writer.write(f"GET {path} HTTP/1.0\r\nHost: {name}\r\n\r\n".encode())
                return b" 200 " in await reader.readline()
    except (OSError, TimeoutError):
        return False


async def accepts(host: str, port: int) -> bool:
    """Whether something accepts connections there."""
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
