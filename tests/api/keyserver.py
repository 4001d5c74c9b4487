"""A server of public keys over real HTTP, as an identity provider has one, and its tokens."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ISSUER = "https://login.example.com/"
AUDIENCE = "perdure"


class Key:
    """A key pair with a name."""

    def __init__(self, kid: str, algorithm: str = "RS256") -> None:
        self.kid = kid
        self.algorithm = algorithm
        self.private = (
            rsa.generate_private_key(public_exponent=65537, key_size=2048)
            if algorithm == "RS256"
            else ec.generate_private_key(ec.SECP256R1())
        )

    @property
    def published(self) -> dict[str, Any]:
        maker: Any = jwt.get_algorithm_by_name(self.algorithm)
        found: dict[str, Any] = maker.to_jwk(self.private.public_key(), as_dict=True)
        return {**found, "kid": self.kid, "use": "sig"}

    @property
    def pem(self) -> bytes:
        public = self.private.public_key()
        return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def token(self, *, kid: str | None = None, algorithm: str | None = None, **claims: Any) -> str:
        """A token; a claim that is None is left out."""
        headers = {"kid": self.kid if kid is None else kid}
        return jwt.encode(
            make_claims(**claims), self.private, algorithm or self.algorithm, headers=headers
        )


def make_claims(**changed: Any) -> dict[str, Any]:
    """Claims that hold, as far as nothing is changed."""
    now = int(time.time())
    claims = {"sub": "ann", "iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 60, **changed}
    return {name: value for name, value in claims.items() if value is not None}


class KeyServer:
    """What is served, and how often it was asked for."""

    def __init__(self, *keys: Key, content: Any = None) -> None:
        self.keys = list(keys)
        self.content = content
        self.fetches = 0
        self.is_unavailable = False
        self.url = ""

    @contextmanager
    def serving(self) -> Iterator["KeyServer"]:
        """Serve while the block lasts."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{server.server_address[1]}/jwks.json"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield self
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(keys: KeyServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            keys.fetches += 1
            content = keys.content or {"keys": [key.published for key in keys.keys]}
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(503 if keys.is_unavailable else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
