"""Bodies of responses: decompressed piece by piece, up to a limit, without values of secrets."""

import base64
import json
import zlib
from collections.abc import AsyncIterator, Iterable, Iterator
from urllib.parse import quote

import httpx2

from domain.errors import ToolInputError
from domain.secrets import MASK
from tools.output import Spool

_PIECE_BYTES = 64 * 1024
"""Most bytes that are decompressed at a time: a small response may become very large."""

_PLAIN = frozenset({"", "identity"})
_WINDOW_BITS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": 15}


async def read_pieces(response: httpx2.Response, secrets: Iterable[str]) -> AsyncIterator[bytes]:
    """Yield the body, without the values of secrets that the server may have repeated.

    Raises:
        ToolInputError: the body is compressed in a way that is not supported, or is damaged.
    """
    unpack, mask = _Unpacker(response.headers.get("content-encoding", "")), SecretMask(secrets)
    async for chunk in response.aiter_raw():
        for piece in unpack.feed(chunk):
            yield mask.feed(piece)
    yield mask.end()


async def spool_body(
    response: httpx2.Response, spool: Spool, most: int, secrets: Iterable[str] = ()
) -> bool:
    """Write up to `most` bytes of the body to a file; return whether there are more."""
    room = most
    async for piece in read_pieces(response, secrets):
        spool.write(piece[:room])
        room -= len(piece)
        if room < 0:
            return True
    return False


class _Unpacker:
    """Decompresses what a server compressed although it was asked not to."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding.strip().lower()
        bits = _WINDOW_BITS.get(self._encoding)
        self._object = None if bits is None else zlib.decompressobj(bits)

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        if self._object is None:
            if self._encoding not in _PLAIN:  # of a body: a response without one may name it, too
                raise ToolInputError(
                    f"The server sent a body with the encoding {self._encoding[:50]!r}, which is "
                    "not supported. Use another URL."
                )
            yield chunk
            return
        try:
            while chunk and not self._object.eof:
                yield self._object.decompress(chunk, _PIECE_BYTES)
                chunk = self._object.unconsumed_tail
        except zlib.error as error:
            raise ToolInputError("The server sent a damaged body. Try again.") from error


class SecretMask:
    """Replaces the values of secrets in a stream of bytes, also where two pieces meet."""

    def __init__(self, secrets: Iterable[str]) -> None:
        """`secrets` are the values that were sent."""
        forms = {form for secret in secrets for form in _forms(secret)}
        self._forms = sorted(forms, key=len, reverse=True)
        self._longest = max(map(len, self._forms), default=0)
        self._rest = b""

    def feed(self, piece: bytes) -> bytes:
        """Return what is certain; the last bytes may be the start of a secret."""
        if not self._longest:
            return piece
        text = self._replace(self._rest + piece)
        end = max(len(text) - self._longest + 1, 0)
        self._rest = text[end:]
        return text[:end]

    def end(self) -> bytes:
        """Return the rest."""
        rest, self._rest = self._rest, b""
        return rest

    def text(self, text: str) -> str:
        """Replace the values in a whole text."""
        return self._replace(text.encode("utf-8", "replace")).decode("utf-8", "replace")

    def _replace(self, text: bytes) -> bytes:
        for form in self._forms:
            text = text.replace(form, MASK.encode())
        return text


def _forms(secret: str) -> Iterator[bytes]:
    """A value as servers repeat it: as it is, in JSON, in a URL, in base64."""
    if not secret:
        return
    yield secret.encode()
    yield json.dumps(secret)[1:-1].encode()
    yield quote(secret, safe="").encode()
    yield base64.b64encode(secret.encode())
