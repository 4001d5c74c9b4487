"""The server name in the first message of TLS, as real clients and hostile ones write it."""

import ssl

import pytest

from domain.web.tls_hello import IncompleteHelloError, read_hello, server_name_problem


def hello(name: str | None) -> bytes:
    """The first message of this Python's TLS."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.check_hostname = False
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def with_extension(data: bytes, kind: int, content: bytes = b"") -> bytes:
    """The message with one more extension; the lengths around it are corrected."""
    added = kind.to_bytes(2) + len(content).to_bytes(2) + content
    body = data[9:]
    position = 34 + 1 + body[34]
    position += 2 + int.from_bytes(body[position : position + 2])
    position += 1 + body[position]
    size = int.from_bytes(body[position : position + 2]) + len(added)
    body = body[:position] + size.to_bytes(2) + body[position + 2 :] + added
    message = data[5:6] + len(body).to_bytes(3) + body
    return data[:3] + len(message).to_bytes(2) + message


def test_the_name_is_read() -> None:
    found = read_hello(hello("API.example.com"))
    assert found is not None
    assert (found.server_name, found.is_encrypted) == ("api.example.com", False)
    without = read_hello(hello(None))
    assert without is not None
    assert without.server_name is None


def test_every_part_of_a_message_is_incomplete() -> None:
    whole = hello("api.example.com")
    for size in range(1, len(whole)):
        with pytest.raises(IncompleteHelloError):
            read_hello(whole[:size])


def test_a_message_in_many_records_is_read() -> None:
    whole = hello("api.example.com")
    message = whole[5:]
    pieces = [message[i : i + 7] for i in range(0, len(message), 7)]
    data = b"".join(whole[:3] + len(piece).to_bytes(2) + piece for piece in pieces)
    found = read_hello(data)
    assert found is not None
    assert found.server_name == "api.example.com"


def test_early_data_may_follow_the_message() -> None:
    found = read_hello(hello("api.example.com") + b"\x14\x03\x03\x00\x01\x01" + b"\x17" * 90_000)
    assert found is not None
    assert found.server_name == "api.example.com"


def test_a_message_in_too_many_records_is_refused() -> None:
    whole = hello("api.example.com")
    data = b"".join(whole[:3] + b"\0\1" + bytes([byte]) for byte in whole[5:])
    with pytest.raises(ValueError, match="too many records"):
        read_hello(data)


@pytest.mark.parametrize("data", [b"", b"SSH-2.0-x\r\n", b"GET / HTTP/1.1", b"\x16\x00\x00"])
def test_other_protocols_are_none(data: bytes) -> None:
    assert read_hello(data) is None


def test_a_message_that_hides_a_name_is_refused() -> None:
    encrypted = read_hello(with_extension(hello("api.example.com"), 0xFE0D, b"x"))
    assert encrypted is not None
    assert "ECH" in (server_name_problem(encrypted, "api.example.com", is_address=False) or "")
    second = b"\0\x0b\0\0\x08evil.com"
    with pytest.raises(ValueError, match="twice"):
        read_hello(with_extension(hello("api.example.com"), 0, second))


@pytest.mark.parametrize(
    ("name", "host", "is_address", "is_allowed"),
    [
        ("api.example.com", "api.example.com", False, True),
        ("www.example.com", "api.example.com", False, False),
        (None, "api.example.com", False, False),
        (None, "203.0.113.7", True, True),
        ("api.example.com", "203.0.113.7", True, False),
    ],
)
def test_the_name_must_be_the_host(
    name: str | None, host: str, *, is_address: bool, is_allowed: bool
) -> None:
    found = read_hello(hello(name))
    assert found is not None
    assert (server_name_problem(found, host, is_address=is_address) is None) is is_allowed
