"""Signs thinking: a signature is valid for one text after one exact conversation.

As with the API's newer models, a request fails with 400 if it edits the history before a thinking
block, reorders the keys of a block, or drops a message. Each check reads all messages, so it is
made only if there is thinking.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any


def sign(body: Mapping[str, Any], thinking: str) -> str:
    """Sign thinking in the answer to `body`."""
    return _seal(_hash(body, body["messages"]), thinking)


def find_bad_signature(body: Mapping[str, Any]) -> str | None:
    """The path of the first thinking block with an invalid signature, or None."""
    signed = [i for i, message in enumerate(body["messages"]) if any(_thinking_in(message))]
    if not signed:
        return None
    digest = _hash(body, ())
    for index, message in enumerate(body["messages"][: signed[-1] + 1]):
        for number, block in _thinking_in(message):
            if block.get("signature") != _seal(digest.copy(), str(block.get("thinking"))):
                return f"messages.{index}.content.{number}"
        digest.update(_bytes(message))
    return None


def _thinking_in(message: Mapping[str, Any]) -> Iterable[tuple[int, Mapping[str, Any]]]:
    content = message["content"]
    if message["role"] == "user" or isinstance(content, str):
        return ()
    return ((n, block) for n, block in enumerate(content) if block["type"] == "thinking")


def _hash(body: Mapping[str, Any], messages: Iterable[Any]) -> "hashlib._Hash":
    digest = hashlib.sha256(_bytes([body["model"], body.get("system"), body.get("tools")]))
    for message in messages:
        digest.update(_bytes(message))
    return digest


def _seal(digest: "hashlib._Hash", thinking: str) -> str:
    digest.update(_bytes(thinking))
    return "scripted-" + digest.hexdigest()


def _bytes(value: Any) -> bytes:
    return json.dumps(value).encode()
