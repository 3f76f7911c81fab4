"""Client.consume and payctl's consumers against the real gateway."""

import asyncio
import json
import pathlib
import signal
from collections.abc import Awaitable, Callable

import pytest
from typer import testing

import payhub_client
from payctl import commands
from payhub_client import errors
from servicekit import ports
from tests import shells
from tests.integration.client import conftest
from tests.integration.gateway import harness, receiving

PUBLISHED = payhub_client.EventFilter(types=["payment.*"])


async def test_a_member_survives_kill_and_restart_of_the_gateway(tmp_path: pathlib.Path) -> None:
    """Across kill -9 and a graceful restart every event is dealt with in the order of its entity;
    slow work keeps its lease, rejected events come again, parked ones do not.
    """
    tenant = "t-consume"
    url, own = f"sqlite:///{tmp_path}/events.db", str(*ports.choose(1))
    with harness.running(url, EVENT_GATEWAY_GRPC_PORT=own) as gateway:
        key = gateway.keys.add(tenant)

        async def publish(first: int, last: int) -> None:
            caller = gateway.client(key)
            await caller.publish(
                *(
                    harness.event(tenant, entity_id=f"p{n}", entity_version=version)
                    for version in range(first, last + 1)
                    for n in range(5)
                )
            )
            await caller.channel.close()

        async def restart(how: signal.Signals) -> None:
            gateway.signal(how)
            await asyncio.to_thread(gateway.ended)
            await asyncio.to_thread(gateway.start)

        async with payhub_client.Client(
            gateway.target, key=key, events_target=gateway.target, backoff=conftest.BACKOFF
        ) as client:
            await client.consumers.create(
                "work", PUBLISHED, start="oldest", ack_timeout_s=2.0, retry_backoff_s=[0.05]
            )
            with pytest.raises(errors.StateConflict):
                await client.consumers.create("work", PUBLISHED, start="newest")
            done: dict[str, list[int]] = {}
            attempts: list[int] = []

            async def read() -> None:
                async with client.consume("work", heartbeat_s=1) as work:
                    async for each in work:
                        version, entity = each.event.entity_version, each.event.entity_id
                        attempts.append(each.attempt)
                        if version == 1 and entity == "p0" and each.attempt == 1:
                            await asyncio.sleep(2.5)
                            await each.reject("once more")
                            continue
                        seen = done.setdefault(entity, [])
                        if version not in seen:
                            assert version == len(seen) + 1
                            seen.append(version)
                        await each.ack()
                        if sum(map(len, done.values())) == 30:
                            await work.flush()
                            return

            reader = asyncio.create_task(read())
            await publish(1, 2)
            await harness.until(lambda: sum(map(len, done.values())) == 10)
            assert max(attempts) == 2
            await restart(signal.SIGKILL)
            await publish(3, 4)
            await harness.until(lambda: sum(map(len, done.values())) == 20, 30)
            await restart(signal.SIGTERM)
            await publish(5, 6)
            await asyncio.wait_for(reader, 30)
            status = (await client.consumers.get("work")).status
            assert (status.backlog, status.parked) == (0, 0)


async def test_any_text_may_be_given_as_a_reason(tmp_path: pathlib.Path) -> None:
    """The text of an exception, however long and whatever is in it, ends no consumption; a wait
    that the contract forbids is told to who wishes it.
    """
    with harness.running(f"sqlite:///{tmp_path}/events.db") as gateway:
        publisher = gateway.tenant("one")
        await publisher.publish(harness.event("one"))
        async with payhub_client.Client(
            gateway.target, key=publisher.key, events_target=gateway.target
        ) as client:
            await client.consumers.create("work", PUBLISHED, start="oldest", retry_backoff_s=[0.05])
            async with client.consume("work") as work:
                first = await anext(work)
                for wrong in (-1.0, 200_000.0, float("nan")):
                    with pytest.raises(ValueError, match="delay_s"):
                        await first.reject("later", delay_s=wrong)
                await first.reject("\0\ud800" + "ü" * 5000)
                again = await asyncio.wait_for(anext(work), 20)
                assert again.last_reason == "\ufffd?" + "ü" * 1022
                await again.park("x" * 5000)
                await asyncio.wait_for(work.flush(), 20)
            parked = [each async for each in client.consumers.parked("work")]
        assert [each.reason for each in parked] == ["x" * 1024]


async def test_leaving_gives_back_and_a_taken_name_is_told(tmp_path: pathlib.Path) -> None:
    """What is not settled on leaving comes to another member at once, as a first delivery; the
    loser of a name learns it.
    """
    with harness.running(f"sqlite:///{tmp_path}/events.db") as gateway:
        publisher = gateway.tenant("one")
        await publisher.publish(*(harness.event("one", entity_id=f"p{n}") for n in range(3)))
        async with payhub_client.Client(
            gateway.target, key=publisher.key, events_target=gateway.target
        ) as client:
            await client.consumers.create("work", PUBLISHED, start="oldest")
            async with client.consume("work", member="a") as work:
                first = await anext(work)
                await first.ack()
                await anext(work)
            async with client.consume("work", member="b") as work:
                rest = [await anext(work), await anext(work)]
                assert [each.attempt for each in rest] == [1, 1]
                await rest[0].park("never")
                await rest[1].ack()
                await work.flush()
                async with client.consume("work", member="b"):
                    with pytest.raises(errors.StateConflict):
                        await anext(work)
            parked = [each async for each in client.consumers.parked("work")]
            assert [each.reason for each in parked] == ["never"]
            with pytest.raises(errors.NotFound):
                async with client.consume("no-such") as nothing:
                    await anext(nothing)


async def test_payctl_looks_after_webhooks(tmp_path: pathlib.Path) -> None:
    """Create, list, show, test, pause, rotate, see deliveries, send again and delete."""
    env = {
        "EVENT_GATEWAY_WEBHOOK_PLAIN_HTTP": "true",
        "EVENT_GATEWAY_WEBHOOK_PRIVATE_TARGETS": "true",
    }
    url = f"sqlite:///{tmp_path}/events.db"
    async with receiving.receiver() as hook:
        with harness.running(url, **env) as gateway:
            publisher = gateway.tenant("one", (*harness.ALL, "webhooks:manage"))
            shell = {
                "PAYHUB_TARGET": gateway.target,
                "PAYHUB_EVENTS_TARGET": gateway.target,
                "PAYHUB_KEY": publisher.key,
                "NO_COLOR": "1",
            }

            async def payctl(*arguments: str, code: int = 0) -> str:
                result = await asyncio.to_thread(
                    testing.CliRunner(env=shell).invoke,
                    commands.app,
                    ["webhooks", "out", *arguments],
                )
                assert result.exit_code == code, result.output
                return result.output

            made = json.loads(await payctl("create", hook.url, "--types", "payment.*", "--json"))
            endpoint = made["endpoint"]["id"]
            assert made["secret"].startswith("whsec_")
            assert hook.url in await payctl("list")
            assert "yes" in await payctl("test", endpoint)
            sent = harness.event("one")
            await publisher.publish(sent)
            await harness.until(lambda: len(hook.got) == 2)

            async def logged() -> bool:
                return "DELIVERED" in await payctl("deliveries", endpoint)

            await harness.until(logged)
            await harness.until(_async(payctl, "retry", endpoint, "--event", sent.id))
            await harness.until(lambda: len(hook.got) == 3)
            assert "whsec_" in await payctl("rotate-secret", endpoint)
            await payctl("pause", endpoint)
            assert "paused" in await payctl("show", endpoint)
            await payctl("enable", endpoint)
            await payctl("update", endpoint, "--description", "shop")
            assert "shop" in await payctl("show", endpoint)
            hook.answer = 500
            assert "HTTP 500" in await payctl("test", endpoint, code=3)
            await payctl("retry", endpoint, code=2)
            assert "1 events" in await payctl("retry", endpoint, "--since", "2026-01-01")

            async def told_why() -> bool:
                return "HTTP 500: thanks  a lot" in await payctl("deliveries", endpoint)

            await harness.until(told_why)
            await payctl("delete", endpoint)
            assert "(none)" in await payctl("list")
            assert f"no webhook endpoint {endpoint}" in await payctl("delete", endpoint, code=1)


def _async(payctl: Callable[..., Awaitable[str]], *arguments: str) -> Callable[[], Awaitable[bool]]:
    async def sent_again() -> bool:
        return "1 events" in await payctl(*arguments)

    return sent_again


async def test_payctl_looks_after_consumers(tmp_path: pathlib.Path) -> None:
    """Create, list, show, pause, seek, redrive, discard and delete, for people and as JSON."""
    with harness.running(f"sqlite:///{tmp_path}/events.db") as gateway:
        publisher = gateway.tenant("one")
        await publisher.publish(*(harness.event("one", entity_id=f"p{n}") for n in range(3)))
        env = {
            "PAYHUB_TARGET": gateway.target,
            "PAYHUB_EVENTS_TARGET": gateway.target,
            "PAYHUB_KEY": publisher.key,
            "NO_COLOR": "1",
        }

        async def payctl(*arguments: str, code: int = 0) -> str:
            runner = testing.CliRunner(env=env)
            result = await asyncio.to_thread(runner.invoke, commands.app, ["events", *arguments])
            assert result.exit_code == code, result.output
            return result.output

        await payctl("consumers", "create", "books", "--from-start", "--types", "payment.*")
        assert "books" in await payctl("consumers", "list")
        shown = json.loads(await payctl("consumers", "show", "books", "--json"))
        assert shown["status"]["backlog"] == "3"
        assert "is paused" in await payctl("consumers", "pause", "books")
        assert "paused" in await payctl("consumers", "list")
        await payctl("consumers", "resume", "books")
        async with (
            payhub_client.Client(
                gateway.target, key=publisher.key, events_target=gateway.target
            ) as client,
            client.consume("books") as work,
        ):
            for _ in range(3):
                await (await anext(work)).park("no ledger")
            await work.flush()
        listed = await payctl("parked", "list", "books")
        assert listed.count("no ledger") == 3
        content = json.loads(await payctl("parked", "list", "books", "--json"))
        position = content["parked_events"][0]["position"]
        assert content["parked_events"][0]["event"]["type"] == "payment.created"
        assert "1 events put back" in await payctl("parked", "redrive", "books", position)
        gone = await payctl("parked", "redrive", "books", position, code=1)
        assert "1 of the positions are not parked" in gone
        assert "perhaps by this command, if an answer was lost" in " ".join(gone.split())
        assert "2 events dropped" in await payctl("parked", "discard", "books", "--all")
        await payctl("parked", "discard", "books", code=2)
        dry = await payctl("consumers", "seek", "books", "--from-start", "--dry-run")
        assert "would be at" in dry
        assert "to deliver" in await payctl("consumers", "seek", "books", "--since", "2026-01-01")
        await payctl("consumers", "seek", "books", "--since", "2026-01-01", "--from-start", code=2)
        await payctl("consumers", "seek", "books", code=2)
        skipped = json.loads(await payctl("consumers", "seek", "books", "--to-newest", "--json"))
        assert skipped["backlog"] in (0, "0")
        moved = json.loads(await payctl("consumers", "seek", "books", "--from-start", "--json"))
        assert moved["backlog"] == "3"
        await payctl("consumers", "delete", "books")
        assert "no consumer books" in await payctl("consumers", "delete", "books", code=1)
        assert "RESOURCE_NOT_FOUND" in await payctl("consumers", "show", "books", "--json", code=1)


def test_payctl_changes_a_consumer(tmp_path: pathlib.Path) -> None:
    """What is given changes, the rest of definition and filter stays; it may begin at a moment."""
    with harness.running(f"sqlite:///{tmp_path}/events.db") as gateway:
        shell = shells.Shell(
            *("events", "consumers"),
            PAYHUB_TARGET=gateway.target,
            PAYHUB_EVENTS_TARGET=gateway.target,
            PAYHUB_KEY=gateway.keys.add("one"),
        )
        create = ("create", "books", "--types", "payment.*", "--since", "2026-01-01")
        assert shell.json(*create)["start"]["from_time"] == "2026-01-01T00:00:00Z"
        shell(*create, "--after", "c", code=2)
        changes = ("--entity", "p1", "--ack-timeout", "60", "--backoff", "5", "--backoff", "90")
        assert "is changed" in shell("update", "books", *changes).stderr
        changed = shell.json("show", "books")["consumer"]
        assert changed["filter"]["types"] == ["payment.*"]
        assert changed["filter"]["entity_ids"] == ["p1"]
        assert (changed["ack_timeout"], changed["retry_backoff"]) == ("60s", ["5s", "90s"])
        assert changed["max_deliveries"] == 10
        assert "p1" in shell("show", "books").stdout
        every = ("--any-entity", "--max-deliveries", "5", "--park-scope", "event")
        changed = shell.json("update", "books", *every)
        assert changed["filter"]["entity_ids"] == []
        assert (changed["max_deliveries"], changed["park_scope"]) == (5, "PARK_SCOPE_EVENT")
        for wrong in ((), ("--any-entity", "--entity", "p1"), ("--park-scope", "all")):
            shell("update", "books", *wrong, code=2)
        assert "no consumer b00ks" in shell("update", "b00ks", "--any-type", code=1).stderr
