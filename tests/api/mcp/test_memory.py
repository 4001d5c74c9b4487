"""The tools of the group `memory`, by a real client."""

import json
from uuid import uuid4

import pytest

from tests.api.mcp.agents import ERAS, call, connect, read_refusal
from tests.api.world import World

NAMESPACE = "project:x:specs"


@pytest.mark.parametrize("mode", ERAS)
async def test_an_entry_is_added_changed_found_and_forgotten(world: World, mode: str) -> None:
    entry = {"namespace": NAMESPACE, "key": "api"}
    async with connect(world, f"alice-{uuid4()}", mode=mode, groups="memory") as client:
        await call(client, "memory_add", **entry, value={"uses": "REST"}, memory_type="procedural")
        again = await read_refusal(client, "memory_add", **entry, value="again")
        assert again["code"] == "precondition_failed"
        assert "change it" in again["message"]
        changed = await call(
            client, "memory_update", **entry, value={"uses": "gRPC"}, expected_version=1
        )
        assert (changed["version"], changed["memory_type"]) == (2, "procedural")
        stale = await read_refusal(client, "memory_update", **entry, value=1, expected_version=1)
        assert "version 2" in stale["message"]

        found = await call(client, "memory_search", namespace_prefix="project:x", q="grpc")
        assert [item["value"] for item in found["entries"]] == [{"uses": "gRPC"}]
        first = await call(client, "memory_get", **entry, version=1)
        assert first["value"] == {"uses": "REST"}
        await call(client, "memory_delete", **entry)
        assert (await read_refusal(client, "memory_get", **entry))["code"] == "not_found"
        missing = await read_refusal(client, "memory_update", **entry, value=1)
        assert "add it" in missing["message"]
        assert (await call(client, "memory_add", **entry, value="new"))["version"] == 4


async def test_a_long_value_is_read_in_parts(world: World) -> None:
    text = " ".join(f"word{number}" for number in range(20_000)) + "\x01" * 5_000
    entry = {"namespace": NAMESPACE, "key": "long"}
    async with connect(world, f"alice-{uuid4()}", groups="memory") as client:
        for value, whole in ((text, text), ({"a": text}, json.dumps({"a": text}))):
            await call(client, "memory_add", **entry, value=value)
            part = await call(client, "memory_get", **entry)
            parts = [part["value"]]
            while (offset := part["next_offset"]) is not None:
                part = await call(client, "memory_get", **entry, offset=offset)
                parts.append(part["value"])
            assert len(parts) > 2
            assert "".join(parts) == whole
            await call(client, "memory_delete", **entry)


async def test_another_users_namespace_does_not_exist(world: World) -> None:
    alice, bob = f"alice-{uuid4()}", f"bob-{uuid4()}"
    async with (
        connect(world, alice, groups="memory") as client,
        connect(world, bob, groups="memory") as other,
    ):
        entry = {"namespace": NAMESPACE, "key": "api"}
        await call(client, "memory_add", **entry, value="private")
        unshared = await read_refusal(other, "memory_get", **entry, owner=alice)
        assert unshared["code"] == "not_found"
        assert (await call(other, "memory_search", owner=alice))["entries"] == []
