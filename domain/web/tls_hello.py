"""The first message of a TLS client: which server it names (RFC 8446, RFC 6066)."""

from collections.abc import Iterator
from dataclasses import dataclass

MAX_HELLO_BYTES = 64 * 1024
"""Of a first message with its records; with post-quantum keys, real ones have 2,000 (chosen)."""

MAX_RECORDS = 100
"""Of a first message, which is read again whenever bytes arrive (chosen: real ones have one or
two)."""

_HANDSHAKE, _CLIENT_HELLO = 22, 1
_MAJOR_VERSION = 3
_SERVER_NAME, _ENCRYPTED_HELLO = 0, 0xFE0D
_HOST_NAME = 0
_RECORD_HEADER, _MESSAGE_HEADER = 5, 4
_RANDOM_BYTES = 2 + 32
_LENGTH_BYTES = 2


@dataclass(frozen=True, slots=True)
class ClientHello:
    """What a first message says. `is_encrypted`: another name may be encrypted in it."""

    server_name: str | None
    is_encrypted: bool = False


class IncompleteHelloError(Exception):
    """The message continues in bytes that have not arrived yet."""


def read_hello(data: bytes) -> ClientHello | None:
    """Return what the first bytes of a client say, or None if they are not TLS.

    Raises:
        IncompleteHelloError: more bytes are needed.
        ValueError: the message is TLS but not well-formed, or too long.
    """
    if not data or data[0] != _HANDSHAKE or data[1:2] not in (b"", bytes([_MAJOR_VERSION])):
        return None
    message = b""
    for fragment in _fragments(data):
        message += fragment
        if len(message) < _MESSAGE_HEADER:
            continue
        if message[0] != _CLIENT_HELLO:
            raise ValueError("the first message of TLS is not that of a client")
        end = _MESSAGE_HEADER + int.from_bytes(message[1:_MESSAGE_HEADER])
        if len(message) >= end:  # what follows may be early data
            return _read_body(message[_MESSAGE_HEADER:end])
    if len(data) > MAX_HELLO_BYTES:
        raise ValueError("the first message of TLS is too long")
    raise IncompleteHelloError


def _fragments(data: bytes) -> Iterator[bytes]:
    """Yield the content of the records, as far as they have arrived."""
    position = 0
    for _ in range(MAX_RECORDS):
        if len(data) - position < _RECORD_HEADER:
            return
        if data[position] != _HANDSHAKE or data[position + 1] != _MAJOR_VERSION:
            raise ValueError("another record interrupts the first message of TLS")
        length = int.from_bytes(data[position + 3 : position + _RECORD_HEADER])
        position += _RECORD_HEADER
        yield data[position : position + length]
        position += length
    raise ValueError("the first message of TLS has too many records")


class _Fields:
    """Reads fields with a length before them."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def take(self, size: int) -> bytes:
        if size > len(self._data):
            raise ValueError("the first message of TLS is not well-formed")
        taken, self._data = self._data[:size], self._data[size:]
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def vector(self, size: int) -> bytes:
        return self.take(self.number(size))

    def __bool__(self) -> bool:
        return bool(self._data)


def _read_body(body: bytes) -> ClientHello:
    fields = _Fields(body)
    fields.take(_RANDOM_BYTES)
    fields.vector(1)  # session
    fields.vector(_LENGTH_BYTES)  # cipher suites
    fields.vector(1)  # compression
    extensions = _Fields(fields.vector(_LENGTH_BYTES) if fields else b"")
    name, is_encrypted = None, False
    seen: set[int] = set()
    while extensions:
        kind = extensions.number(_LENGTH_BYTES)
        content = extensions.vector(_LENGTH_BYTES)
        if kind in seen:
            raise ValueError("an extension of TLS appears twice")
        seen.add(kind)
        if kind == _SERVER_NAME:
            name = _read_name(content)
        is_encrypted |= kind == _ENCRYPTED_HELLO
    return ClientHello(name, is_encrypted)


def _read_name(content: bytes) -> str:
    names = _Fields(_Fields(content).vector(_LENGTH_BYTES))
    kind, name = names.number(1), names.vector(_LENGTH_BYTES)
    if kind != _HOST_NAME or names:
        raise ValueError("TLS names several servers")
    return name.decode("ascii", "replace").lower().removesuffix(".")


def server_name_problem(hello: ClientHello, host: str, *, is_address: bool) -> str | None:
    """Why the connection to `host` may not start TLS like this, or None."""
    if hello.is_encrypted:
        return "Its TLS server name is encrypted, so it can't be checked; switch ECH off."
    if hello.server_name == host or (is_address and hello.server_name is None):
        return None
    if hello.server_name is None:
        return f"It starts TLS without a server name; it must name {host}."
    return f"It starts TLS for {hello.server_name:.200}, which is another server."
