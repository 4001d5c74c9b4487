"""JSON responses from models, with an ETag that is a hash of the content."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import Request, Response
from pydantic import BaseModel
from pydantic_core import PydanticSerializationError

from api.http.errors import MalformedRequestError
from domain.errors import PreconditionFailedError

JSON = "application/json"

_TAGS = re.compile(r'\s*(?:\*|(?:W/)?"[^"]*"(?:\s*,\s*(?:W/)?"[^"]*")*)\s*')
_TAG = re.compile(r'(?:W/)?"[^"]*"')


def answer(
    model: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A JSON response with the model."""
    return Response(to_json(model), status, dict(headers or {}), JSON)


@dataclass(frozen=True, slots=True)
class Rendered:
    """A resource as JSON, with its ETag."""

    content: bytes
    tag: str


def render(model: BaseModel) -> Rendered:
    """The model as JSON, with its ETag."""
    content = to_json(model)
    return Rendered(content, etag(content))


def single(request: Request, model: BaseModel) -> Response:
    """One resource with its `ETag`; 304 if the client already has this version."""
    return respond_rendered(request, render(model))


def respond_rendered(request: Request, resource: Rendered) -> Response:
    """As `single`, for a resource that is rendered already."""
    if unchanged := respond_if_known(request, resource.tag):
        return unchanged
    return Response(resource.content, headers={"ETag": resource.tag}, media_type=JSON)


def respond_if_known(request: Request, tag: str) -> Response | None:
    """304 if the client already has this version."""
    if tag in tags_of(request, "if-none-match"):
        return Response(status_code=304, headers={"ETag": tag})
    return None


def to_json(model: BaseModel) -> bytes:
    """The model as JSON. Model and tool output can contain characters that UTF-8 cannot encode."""
    try:
        return model.model_dump_json(by_alias=True).encode()
    except (PydanticSerializationError, UnicodeEncodeError):
        return json.dumps(model.model_dump(mode="json", by_alias=True)).encode("ascii")


def etag(content: bytes) -> str:
    """A strong ETag: it changes with every byte of the content."""
    return f'"{hashlib.blake2b(content, digest_size=12).hexdigest()}"'


def require_match(request: Request, current: BaseModel) -> None:
    """Check `If-Match` against the current resource.

    Raises:
        PreconditionFailedError: the resource has changed.
        MalformedRequestError: the header is not a list of tags.
    """
    tags = tags_of(request, "if-match")
    if tags and "*" not in tags and etag(to_json(current)) not in tags:
        raise PreconditionFailedError(
            "The resource has changed since you read it; read it again and repeat the request."
        )


def tags_of(request: Request, header: str) -> list[str]:
    """The entity tags in a header, as they were sent; none if it is missing.

    Raises:
        MalformedRequestError: the header is not a list of tags.
    """
    value = request.headers.get(header)
    if value is None:
        return []
    if not _TAGS.fullmatch(value):
        raise MalformedRequestError(f'{header} must be `*` or a list of tags like "abc".')
    return ["*"] if value.strip() == "*" else _TAG.findall(value)
