"""payctl on the gateway's side of events, against the real gateway."""

import asyncio
import json
import pathlib
import re

from typer import testing

import payhub_client
from payctl import commands
from tests.integration.gateway import harness

TENANT = "t-operations"


async def test_streams_are_shown_and_an_entity_is_erased(tmp_path: pathlib.Path) -> None:
    """Operators see who follows the log, how fast and how far behind; `tail` says it of itself;
    an erasure empties the entity's events, in steps, and needs a yes. Again it finds none left;
    of an entity that the log has never heard of it says so.
    """
    with harness.running(f"sqlite:///{tmp_path}/events.db") as gateway:
        key = gateway.keys.add(TENANT)

        async def payctl(*arguments: str, answer: str = "") -> testing.Result:
            return await asyncio.to_thread(
                testing.CliRunner().invoke,
                commands.app,
                ["--events-target", gateway.target, "events", *arguments],
                env={"PAYHUB_KEY": key},
                input=answer,
            )

        caller = gateway.client(key)
        await caller.publish(
            *(
                harness.event(TENANT, entity_version=n, data=b"private", user_id="u-1")
                for n in range(1, 51)
            )
        )
        async with payhub_client.Client(
            gateway.target, key=key, events_target=gateway.target
        ) as client:
            subscription = client.events.subscribe(
                payhub_client.EventFilter(types=["payment.*"]), start="oldest", client_name="ledger"
            )
            async with subscription:
                assert subscription.lag.seconds is None
                got = [(await anext(subscription)).event.entity_version for _ in range(50)]
                assert got == [*range(1, 51)]
                assert (subscription.lag.entries, subscription.lag.live) == (0, True)
                assert subscription.lag.seconds == 0.0
                listed = await payctl("streams")
                assert listed.exit_code == 0
                assert "1 open at" in listed.stdout
                for shown in ("ledger", TENANT, "payment.*", "live", "50"):
                    assert shown in listed.stdout
                document = json.loads((await payctl("streams", "--json")).stdout)
                (stream,) = document["streams"]
                assert stream["client_name"] == "ledger"
                assert stream["events_sent"] == "50"
        tail = await payctl("tail", "--from-start", "--stop-at-head", "--stats")
        assert tail.exit_code == 0
        assert tail.stdout.count("payment.created") == 50
        assert "50 events" in tail.stderr
        assert "live, 0 behind" in tail.stderr
        tail = await payctl("tail", "--since", "2026-01-01", "--stop-at-head")
        assert (tail.exit_code, tail.stdout.count("payment.created")) == (0, 50)
        to_come = await payctl("tail", "--since", "2999-01-01")
        assert (to_come.exit_code, "in the future" in to_come.stderr) == (1, True)
        assert (await payctl("tail", "--since", "2026-01-01", "--from-start")).exit_code == 2
        info = (await payctl("info")).stdout
        assert re.search(r"kept +50 events, \d+ bytes, for ever", info)
        wanted = ("erase", "payment", "pay_1", "--tenant", TENANT, "--reason", "asked")
        assert (await payctl(*wanted, answer="n\n")).exit_code == 1
        assert (await caller.query(page_size=1)).events[0].data == b"private"
        asked = await payctl(*wanted, "--json", answer="y\n")
        assert (asked.exit_code, asked.stdout) == (2, "")
        assert "--yes" in json.loads(asked.stderr)["error"]["message"]
        erased = await payctl(*wanted, "--yes", "--json")
        assert json.loads(erased.stdout) == {"erased_events": 50}
        again = await payctl(*wanted, "--yes", "--json")
        assert (again.exit_code, json.loads(again.stdout)) == (0, {"erased_events": 0})
        for place in (1, 2, 4):
            other = [*wanted, "--yes", "--json"]
            other[place] += "-of-nobody"
            nothing = await payctl(*other)
            assert (nothing.exit_code, nothing.stdout) == (1, "")
            assert json.loads(nothing.stderr)["error"]["reason"] == "RESOURCE_NOT_FOUND"
        events = (await caller.query(page_size=100)).events
        assert [one.entity_version for one in events] == [*range(1, 51)]
        assert all(one.redacted and not one.data and not one.user_id for one in events)
