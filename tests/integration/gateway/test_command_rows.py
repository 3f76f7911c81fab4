"""The rows of commands: what a repeated request is answered."""

import asyncio
import functools

import pytest

from event_gateway import gateway
from event_gateway.db import commands
from servicekit import storage


def told(fingerprint: bytes, given: bytes) -> commands.Command:
    """Returns a command with the one key of these tests."""
    return commands.Command(
        tenant_id="one", command="SeekConsumer", key="k", fingerprint=fingerprint, given=given
    )


async def test_a_key_is_of_its_request_in_whatever_words(database_url: str) -> None:
    """A result is found by the normal form, and by what was sent where an older version kept it."""
    await asyncio.to_thread(storage.migrate, database_url, gateway.MIGRATIONS)
    database = await storage.open_database(database_url, pool_size=2)
    try:
        for stored, again, other in (
            (told(b"normal", b"sent"), told(b"normal", b"in other words"), told(b"else", b"e")),
            (told(b"sent", b"sent"), told(b"normal", b"sent"), told(b"normal", b"other words")),
        ):
            await database.write(lambda conn: conn.query("delete from command_key"))
            await database.write(functools.partial(commands.keep, command=stored, result=b"done"))
            for repeat in (stored, again):
                found = await database.read(functools.partial(commands.recall, command=repeat))
                assert found == b"done"
            with pytest.raises(commands.KeyReused):
                await database.read(functools.partial(commands.recall, command=other))
    finally:
        await database.close()
