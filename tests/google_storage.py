"""A server with the XML API of Google Cloud Storage.

The emulators on PyPI and npm have its JSON API only, which `obstore` does not use. Google's XML API
is that of S3, so this is the server of the S3 tests, with a check of Google's tokens in place of
S3's signatures.
"""

import os
from pathlib import Path

import jwt
from nanio.app import build_app
from nanio.auth.credentials import StaticCredentialResolver
from nanio.config import Settings
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

DATA, PUBLIC_KEY = "GOOGLE_STORAGE_DATA", "GOOGLE_STORAGE_PUBLIC_KEY"
"""Variables: the directory of the buckets, and the public key of the service account, as PEM."""


def create_app() -> ASGIApp:
    """Serve the buckets in the directory."""
    buckets = build_app(
        Settings(
            data_dir=Path(os.environ[DATA]),
            credentials=StaticCredentialResolver({"unused": "unused"}),
            auth_disabled=True,
        )
    )

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        is_allowed = scope["type"] != "http" or _has_token(scope)
        refusal = PlainTextResponse("The token is invalid.", 401)
        await (buckets if is_allowed else refusal)(scope, receive, send)

    return serve


def _has_token(scope: Scope) -> bool:
    """Whether the service account has signed the token of a request."""
    authorization = dict(scope["headers"]).get(b"authorization", b"").decode()
    try:
        jwt.decode(authorization.removeprefix("Bearer "), os.environ[PUBLIC_KEY], ["RS256"])
    except jwt.InvalidTokenError:
        return False
    return True
