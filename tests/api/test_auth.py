"""Tokens by secret and by key set: which hold, and which don't."""

import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from api.auth import key_sets
from api.auth.key_sets import KeySet
from api.auth.tokens import Tokens
from api.main import create_app
from cli.stack.addresses import free_port
from domain.errors import ServiceUnavailableError, UnauthenticatedError
from domain.ids import new_id
from tests.api.conftest import serve_app, settings_of
from tests.api.keyserver import AUDIENCE, ISSUER, Key, KeyServer, make_claims
from tests.api.world import SECRET, World

RSA, EC, UNKNOWN = Key("rsa"), Key("ec", "ES256"), Key("unknown")
LATER, BEFORE = time.time() + 3600, time.time() - 3600
BY_KEYS: dict[str, Any] = {"jwt_issuer": ISSUER, "jwt_audience": AUDIENCE}


@pytest.fixture(scope="module")
def keys() -> Iterator[KeyServer]:
    with KeyServer(RSA, EC).serving() as server:
        yield server


@pytest.fixture(scope="module")
async def both(
    module_database_url: str, temporal_address: str, keys: KeyServer
) -> AsyncIterator[World]:
    """A gateway that knows its own secret and a key set."""
    given = {
        **BY_KEYS,
        "jwks_url": keys.url,
        "jwt_role_claim": "realm_access.roles",
        "jwt_groups_claim": "groups",
    }
    app = create_app(settings_of(module_database_url, temporal_address, **given))
    async with serve_app(app) as url:
        yield World(url, app.state.gateway)


@pytest.fixture(scope="module")
async def keys_only(
    module_database_url: str, temporal_address: str, keys: KeyServer
) -> AsyncIterator[World]:
    """A gateway without a secret."""
    given = {**BY_KEYS, "jwks_url": keys.url, "jwt_secret": None}
    app = create_app(settings_of(module_database_url, temporal_address, **given))
    async with serve_app(app) as url:
        yield World(url, app.state.gateway)


async def me(world: World, token: str) -> httpx2.Response:
    async with httpx2.AsyncClient(base_url=world.url) as client:
        return await client.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"})


def ours(**changed: Any) -> str:
    return jwt.encode(make_claims(**changed), SECRET, "HS256")


@pytest.mark.parametrize("key", [RSA, EC], ids=["RS256", "ES256"])
async def test_tokens_of_the_key_set_hold(both: World, key: Key) -> None:
    roles: dict[str, Any] = {"realm_access": {"roles": ["writer", "admin"]}}
    response = await me(both, key.token(sub=f"ann-{key.kid}", **roles))
    assert response.status_code == 200, response.text
    assert (response.json()["subject"], response.json()["role"]) == (f"ann-{key.kid}", "admin")
    assert response.json()["credentials"]["kind"] == "token"


async def test_own_tokens_remain_valid_with_a_key_set(both: World) -> None:
    assert (await me(both, ours(iss=None, aud=None))).json()["role"] == "user"
    assert (await me(both, ours())).status_code == 200


async def test_groups_are_those_of_the_latest_token_with_the_claim(both: World) -> None:
    """A token without the claim changes nothing; one with an empty claim removes the user."""
    subject, name = f"ann-{new_id()}", f"g{new_id().hex}"
    async with httpx2.AsyncClient(base_url=both.url) as admin:
        token = RSA.token(sub="boss", realm_access={"roles": ["admin"]})
        headers = {"Authorization": f"Bearer {token}"}
        made = await admin.post("/api/v1/groups", json={"name": name}, headers=headers)
        assert made.status_code == 201, made.text

    async def groups_after(**claims: Any) -> frozenset[str]:
        token = RSA.token(sub=subject, jti=str(new_id()), **claims)
        await me(both, token)
        principal = await both.gateway.authenticator.authenticate(f"Bearer {token}", "here")
        return principal.groups

    assert await groups_after(groups=["other", name]) == {name}
    assert await groups_after() == {name}
    assert await groups_after(groups=f"{name} other") == {name}
    assert await groups_after(groups=[]) == frozenset()


REFUSED = {
    "the name of a group": RSA.token(sub="group:legal"),
    "the name of a group, ours": ours(sub="group:legal"),
    "alg none": jwt.encode(make_claims(), "", "none"),
    "expired": RSA.token(exp=int(time.time()) - 1),
    "expired, ours": ours(exp=int(time.time()) - 1),
    "not yet valid": RSA.token(nbf=LATER),
    "not yet valid, ours": ours(nbf=LATER),
    "from the future": RSA.token(iat=LATER),
    "wrong issuer": RSA.token(iss="https://evil.example.com/"),
    "wrong issuer, ours": ours(iss="https://evil.example.com/"),
    "wrong audience": RSA.token(aud="billing"),
    "wrong audience, ours": ours(aud=["billing"]),
    "no issuer": RSA.token(iss=None),
    "no audience": RSA.token(aud=None),
    "no end": RSA.token(exp=None),
    "no end, ours": ours(exp=None),
    "an end that is none": ours(exp=float("inf")),
    "no subject": RSA.token(sub=None),
    "a subject that is no text": ours(sub=5),
    "an unknown key": UNKNOWN.token(),
    "the signature of an unknown key": UNKNOWN.token(kid="rsa"),
    "the other key's name": EC.token(kid="rsa"),
    "another algorithm of the same key": RSA.token(algorithm="RS512"),
    "another secret": jwt.encode(make_claims(), "x" * 40, "HS256"),
    "another HMAC": jwt.encode(make_claims(), SECRET * 2, "HS512"),
    "no name, among several": jwt.encode(make_claims(), RSA.private, "RS384"),
    "no token": "nonsense",
    "three dots": "a.b.c",
}


@pytest.mark.parametrize("what", REFUSED)
async def test_tokens_that_do_not_hold(both: World, what: str) -> None:
    response = await me(both, REFUSED[what])
    assert response.status_code == 401, response.text
    assert response.json()["code"] == "unauthenticated"
    assert response.headers["www-authenticate"] == "Bearer"


async def test_a_public_key_is_no_secret(both: World, keys_only: World) -> None:
    """PyJWT refuses to make such a token, so it is made by hand."""
    for key in (RSA, EC):
        for secret in (key.pem, key.pem.strip()):
            token = _encode_token({"alg": "HS256", "kid": key.kid}, secret)
            for world in (both, keys_only):
                assert (await me(world, token)).status_code == 401


async def test_without_a_secret_no_token_is_ours(keys_only: World) -> None:
    assert (await me(keys_only, ours())).status_code == 401
    assert (await me(keys_only, RSA.token())).status_code == 200


async def test_a_clock_may_be_a_little_ahead(both: World) -> None:
    ahead = int(time.time()) + 3
    assert (await me(both, RSA.token(nbf=ahead, iat=ahead))).status_code == 200


async def test_keys_rotate_without_a_restart() -> None:
    old, new = Key("1"), Key("2")
    with KeyServer(old).serving() as server:
        key_set = KeySet(server.url)
        assert await find(key_set, "1") == ["1"]
        assert await find(key_set, None) == ["1"]
        server.keys = [new]
        key_set._tried_at -= key_sets.FETCH_INTERVAL_SECONDS
        assert await find(key_set, "2") == ["2"]
        with pytest.raises(UnauthenticatedError):
            await find(key_set, "1")
        await key_set.close()


async def test_guesses_neither_load_the_provider_nor_delay_a_rotation() -> None:
    with KeyServer(RSA).serving() as server:
        key_set = KeySet(server.url)
        for number in range(50):
            with pytest.raises(UnauthenticatedError):
                await find(key_set, f"guess {number}")
        assert server.fetches <= 2
        assert await find(key_set, "rsa") == ["rsa"]
        server.keys = [RSA, Key("new")]
        key_set._tried_at -= key_sets.FETCH_INTERVAL_SECONDS  # which is at most a moment
        assert key_sets.FETCH_INTERVAL_SECONDS <= 10
        assert await find(key_set, "new") == ["new"]
        await key_set.close()


async def test_keys_remain_valid_while_their_server_is_unavailable() -> None:
    with KeyServer(RSA).serving() as server:
        key_set = KeySet(server.url)
        await find(key_set, "rsa")
        server.is_unavailable = True
        expire(key_set)
        assert await find(key_set, "rsa") == ["rsa"]
        assert key_set._refreshing
        await key_set._refreshing
        assert server.fetches == 2
        assert await find(key_set, "rsa") == ["rsa"]
        with pytest.raises(ServiceUnavailableError):  # it may be a new one
            await find(key_set, "another")
        await key_set.close()


async def test_a_key_that_was_taken_out_is_refused_in_time() -> None:
    with KeyServer(RSA, EC).serving() as server:
        key_set = KeySet(server.url)
        await find(key_set, "rsa")
        server.keys = [EC]
        expire(key_set)
        await find(key_set, "rsa")
        assert key_set._refreshing
        await key_set._refreshing
        with pytest.raises(UnauthenticatedError):
            await find(key_set, "rsa")
        await key_set.close()


async def find(key_set: KeySet, kid: str | None) -> list[str | None]:
    """The ids of the keys that may fit."""
    return [key.key_id for key in await key_set.find(kid, "RS256")]


def expire(key_set: KeySet) -> None:
    """As if the last fetch was long ago."""
    key_set._fetched_at -= 2 * key_sets.LIFETIME_SECONDS
    key_set._tried_at -= 2 * key_sets.LIFETIME_SECONDS


WEAK_KEY = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - refused
WEAK = jwt.get_algorithm_by_name("RS256").to_jwk(WEAK_KEY.public_key(), as_dict=True)
ODD_KEYS: dict[str, Any] = {
    "a secret without its value": {"kty": "oct", "kid": "o"},
    "algorithms in a list": {**RSA.published, "kid": "l", "alg": ["RS256"]},
    "another key of the same id": Key("rsa").published,
    "a weak key": {**WEAK, "kid": "weak"},
    "an id that is a list": {**RSA.published, "kid": ["rsa"]},
    "a use that is a list": {**RSA.published, "kid": "u", "use": ["sig"]},
    "a key for encryption": {**RSA.published, "use": "enc"},
    "an algorithm without a key": {"kty": "RSA", "kid": "rsa", "alg": "RS256"},
    "a point that is on no curve": {**EC.published, "x": "AA", "y": "AA"},
    "numbers": {"kty": 1, "kid": 2, "n": 3},
    "an operation that is a number": {**RSA.published, "kid": "n", "e": 5},
    "no object": [["kty", "RSA"]],
    "null": None,
}


@pytest.mark.parametrize("what", ODD_KEYS)
async def test_an_odd_key_does_not_spoil_the_others(what: str) -> None:
    for members in ([ODD_KEYS[what], RSA.published], [RSA.published, ODD_KEYS[what]]):
        with KeyServer(content={"keys": members}).serving() as server:
            tokens = tokens_of(server)
            assert (await tokens.read(RSA.token())).subject == "ann"
            with pytest.raises(UnauthenticatedError):
                await tokens.read(UNKNOWN.token(kid="rsa"))
            await tokens.close()


async def test_a_weak_key_verifies_nothing() -> None:
    with KeyServer(content={"keys": [{**WEAK, "kid": "weak"}]}).serving() as server:
        tokens = tokens_of(server)
        with pytest.raises(ServiceUnavailableError):
            await tokens.read(RSA.token(kid="weak"))
        await tokens.close()


@pytest.mark.parametrize(
    "content",
    [b"[" * 100_000, b"{}", b"[]", b'{"keys": {}}', b'{"keys": []}', b"\xff", b"<html>", b""],
)
async def test_a_broken_set_is_no_fault_of_the_token(content: bytes) -> None:
    with KeyServer(content=content).serving() as server:
        tokens = tokens_of(server)
        for _ in range(2):
            with pytest.raises(ServiceUnavailableError):
                await tokens.read(RSA.token())
        await tokens.close()


def tokens_of(server: KeyServer) -> Tokens:
    """Verifies the tokens of this provider."""
    return Tokens(
        secret=None,
        key_set=KeySet(server.url),
        issuer=ISSUER,
        audience=AUDIENCE,
        role_claim="role",
    )


@pytest.mark.parametrize(
    ("path", "claims", "role"),
    [
        ("role", {"role": "admin"}, "admin"),
        ("https://example.com/roles", {"https://example.com/roles": ["x", "admin"]}, "admin"),
        ("https://example.com/roles", {"https://example.com/roles": "user"}, "user"),
        ("https://example.com/roles", {"https://example.com/roles": None}, "user"),
        ("realm_access.roles", {"realm_access": {"roles": ["admin"]}}, "admin"),
        ("realm_access.roles", {"realm_access.roles": "admin"}, "admin"),
        ("https://a.b/c.roles", {"https://a.b/c": {"roles": "admin"}}, "admin"),
        ("resource.my.app.roles", {"resource": {"my.app": {"roles": "admin"}}}, "admin"),
        ("a.b", {"a": "admin"}, "user"),
        ("a.b", {"b": "admin"}, "user"),
        ("a..b", {"a": {"": {"b": "admin"}}}, "admin"),
        ("a.b", {"a.b": "user", "a": {"b": "admin"}}, "user"),
    ],
)
async def test_the_role_claim_is_a_name_or_a_path(
    path: str, claims: dict[str, Any], role: str
) -> None:
    tokens = Tokens(secret=SECRET, key_set=None, issuer=None, audience=None, role_claim=path)
    assert (await tokens.read(ours(iss=None, aud=None, **claims))).role == role


async def test_without_any_key_a_token_cannot_be_verified() -> None:
    key_set = KeySet(f"http://127.0.0.1:{free_port()}/jwks.json")
    with pytest.raises(ServiceUnavailableError):
        await find(key_set, "rsa")
    await key_set.close()


@pytest.mark.parametrize(
    "given",
    [
        {"jwt_secret": None},
        {"jwks_url": "https://login.example.com/jwks"},
        {"jwks_url": "https://login.example.com/jwks", "jwt_issuer": ISSUER},
        {"cors_origins": "*"},
        {"cors_origins": "https://desk.example.com/page"},
    ],
)
def test_a_gateway_without_sound_settings_does_not_start(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="PERDURE_"):
        create_app(settings_of("postgresql://x@127.0.0.1/x", "127.0.0.1:1", **given))


@pytest.mark.parametrize(
    "header",
    [
        b"[]",
        b"5",
        b"{}",
        b'{"alg": ["RS256"]}',
        b'{"alg": {}}',
        b'{"alg": null}',
        b'{"alg": "RS256", "kid": {}}',
        b'{"alg": "RS256", "kid": "rsa", "crit": ["x"]}',
        b'{"alg": "HS256", "x": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
        b'{"alg": "HS256", "alg": "none"}',
        b"\xff\xfe",
    ],
)
async def test_a_malformed_header_is_refused(both: World, header: bytes) -> None:
    _, payload, signature = RSA.token().split(".")
    head = jwt.utils.base64url_encode(header).decode()
    assert (await me(both, f"{head}.{payload}.{signature}")).status_code == 401


VALID_CLAIMS = [
    ("exp", 1e308),
    ("nbf", -1),
    ("nbf", True),
    ("iat", -1),
    ("iat", True),
    ("sub", "x"),
]
"""Those that PyJWT and we accept: times far away, and `true`, which is the number 1."""


@pytest.mark.parametrize("name", ["exp", "nbf", "iat", "sub", "aud", "iss"])
@pytest.mark.parametrize("value", [[], {}, True, "x", 1e308, -1, [["x"]]])
async def test_claims_of_other_types_are_refused(both: World, name: str, value: Any) -> None:
    key = jwt.get_algorithm_by_name("HS256")
    claims = json.dumps({**make_claims(), name: value}).encode()
    signed = b".".join(map(jwt.utils.base64url_encode, (b'{"alg": "HS256"}', claims)))
    signature = jwt.utils.base64url_encode(key.sign(signed, SECRET.encode()))
    response = await me(both, f"{signed.decode()}.{signature.decode()}")
    expected = 200 if (name, value) in VALID_CLAIMS else 401
    assert response.status_code == expected, response.text


def _encode_token(header: dict[str, str], secret: bytes) -> str:
    signer: Any = jwt.get_algorithm_by_name("HS256")
    head, _, rest = jwt.encode(make_claims(), SECRET, "HS256", headers=header).partition(".")
    signed = f"{head}.{rest.partition('.')[0]}"
    return f"{signed}.{jwt.utils.base64url_encode(signer.sign(signed.encode(), secret)).decode()}"
