"""Secrets go in and never come out: a planted word is nowhere but in its sealed bytes."""

from uuid import UUID

import asyncpg
import httpx2
import pytest

from domain.errors import SecretsNotConfiguredError, SecretUnusableError
from persistence.definitions import secrets
from runtime.secret_box import SecretBox
from tests.api.conftest import serve_app, settings_of
from tests.api.world import World

Client = httpx2.AsyncClient
BASE = "/api/v1/secrets"
CANARY = "yellow-canary-9d1c"
KEY = "k" * 32


async def put(client: Client, name: str, **body: object) -> httpx2.Response:
    return await client.put(f"{BASE}/{name}", json={"value": CANARY, **body})


async def user_id(client: Client) -> UUID:
    return UUID((await client.get("/api/v1/me")).json()["id"])


async def test_a_secret_is_put_replaced_read_listed_and_deleted(client: Client) -> None:
    made = await put(client, "github", hosts=["api.github.com"], tools=["mcp__github__*"])
    assert made.status_code == 201
    assert made.headers["location"] == f"{BASE}/github"
    secret = made.json()
    assert (secret["name"], secret["hosts"]) == ("github", ["api.github.com"])
    assert secret["tools"] == ["mcp__github__*"]
    assert secret["last_used_at"] is None
    assert secret["updated_at"] == secret["created_at"]

    again = await put(client, "github", hosts=["*.github.com"])
    assert (again.status_code, again.content) == (204, b"")
    read = await client.get(f"{BASE}/github")
    assert (read.json()["hosts"], read.json()["tools"]) == (["*.github.com"], [])
    assert read.json()["created_at"] == secret["created_at"]
    listed = (await client.get(BASE)).json()
    assert [item["name"] for item in listed["items"]] == ["github"]

    stale = await client.delete(f"{BASE}/github", headers={"If-Match": made.headers["etag"]})
    assert stale.status_code == 412
    gone = await client.delete(f"{BASE}/github", headers={"If-Match": read.headers["etag"]})
    assert gone.status_code == 204
    assert (await client.get(f"{BASE}/github")).status_code == 404
    assert (await client.delete(f"{BASE}/github")).status_code == 404


async def test_the_refusal_of_a_name_describes_valid_names(client: Client) -> None:
    refused = await put(client, "GITHUB_TOKEN")
    assert refused.status_code == 422
    (error,) = refused.json()["errors"]
    assert (error["loc"], error["msg"][:22]) == (["path", "name"], "Use lower-case letters")


async def test_names_are_each_users_own(client: Client, other: Client) -> None:
    assert (await put(client, "shared")).status_code == 201
    assert (await other.get(f"{BASE}/shared")).status_code == 404
    assert (await other.delete(f"{BASE}/shared")).status_code == 404
    assert (await put(other, "shared")).status_code == 201
    assert (await other.delete(f"{BASE}/shared")).status_code == 204
    assert (await client.get(f"{BASE}/shared")).status_code == 200


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("fine", {"value": ""}),
        ("fine", {"value": 7}),
        ("fine", {"value": None}),
        ("fine", {"value": "x" * 16_385}),
        ("fine", {"value": CANARY, "hosts": ["https://example.com/"]}),
        ("fine", {"value": CANARY, "hosts": "example.com"}),
        ("fine", {"value": CANARY, "tools": [""]}),
        ("fine", {"value": CANARY, "vaule": "x"}),
        ("fine", {}),
        ("Not-Small", {"value": CANARY}),
        ("with space", {"value": CANARY}),
        ("a" * 64, {"value": CANARY}),
    ],
)
async def test_an_invalid_value_is_refused_and_not_echoed(
    client: Client, name: str, body: dict[str, object]
) -> None:
    refused = await client.put(f"{BASE}/{name}", json=body)
    assert refused.status_code == 422
    assert CANARY not in refused.text


async def test_without_a_key_the_error_names_the_setting(
    database_url: str, temporal_address: str
) -> None:
    from api.main import create_app  # noqa: PLC0415

    app = create_app(settings_of(database_url, temporal_address, secrets_key=None))
    async with serve_app(app) as url, World(url, app.state.gateway).client("alice") as client:
        refused = await put(client, "any")
    assert (refused.status_code, refused.json()["code"]) == (409, "secrets_not_configured")
    assert "PERDURE_SECRETS_KEY" in refused.json()["detail"]


async def test_the_owner_alone_opens_it_and_use_is_noted(world: World, client: Client) -> None:
    await put(client, "opened", hosts=["example.com"])
    owner_id = await user_id(client)
    async with world.gateway.database.transaction() as session:
        row, value = await secrets.decrypt(
            session, world.gateway.services.secrets, owner_id, "secret://opened"
        )
    assert (value, row.hosts) == (CANARY, ["example.com"])
    assert (await client.get(f"{BASE}/opened")).json()["last_used_at"] is not None
    async with world.gateway.database.transaction() as session:
        for reference in ("secret://absent", "secret://", "secret://../opened", ""):
            with pytest.raises(SecretUnusableError):
                await secrets.decrypt(
                    session, world.gateway.services.secrets, row.user_id, reference
                )
        with pytest.raises(SecretsNotConfiguredError):
            await secrets.decrypt(session, SecretBox("z" * 32), row.user_id, "opened")


async def test_the_value_is_nowhere_in_the_database_but_sealed(
    world: World, client: Client, module_database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    answers = [await put(client, "canary"), await put(client, "canary")]
    answers += [await client.get(BASE), await client.get("/api/v1/audit-logs")]
    answers.append(await client.put(f"{BASE}/canary", json={"value": {"no": CANARY}}))
    answers.append(await client.put(f"{BASE}/canary", content=f'{{"value": "{CANARY}"'))
    assert not [answer.text for answer in answers if CANARY in answer.text]
    assert CANARY not in caplog.text
    assert await tables_with(module_database_url, CANARY) == []
    assert "secrets" in await tables_with(module_database_url, "canary")
    del world


async def tables_with(database_url: str, word: str) -> list[str]:
    """The tables that hold the word, in any column, as text or as bytes."""
    connection = await asyncpg.connect(database_url)
    try:
        tables = await connection.fetch(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
        )
        found = []
        for (table,) in tables:
            rows = await connection.fetch(f'SELECT t::text AS line FROM "{table}" t')  # noqa: S608
            needles = (word, word.encode().hex())
            if any(needle in row["line"] for row in rows for needle in needles):
                found.append(table)
        return found
    finally:
        await connection.close()
