"""Bindings as they stand and as they were, their secrets opened.

Owns reading bindings and their versions. Called by the API, by the changes of bindings and
by exports. Secrets in clear go to whoever describes or compares them, never further.
"""

from dataclasses import dataclass, field, replace

from payhub.admin.v1 import value_change_pb2

from payment_service.db import bindings as rows
from payment_service.usecases import context
from payment_service.usecases.bindings import (
    binding_refusals,
    binding_snapshots,
    binding_store,
    secrets,
)
from servicekit import errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A binding with its secrets in clear."""

    stored: rows.Stored
    held: secrets.Secrets = field(default=(), repr=False)


class Reader:
    """Reads bindings."""

    def __init__(self, ctx: context.Context, vault: secrets.Vault) -> None:
        self._ctx = ctx
        self._vault = vault

    async def get(self, binding_id: str, generation: int = 0) -> Opened:
        """Returns a binding, as it stands or as it was at one generation.

        Raises:
            errors.RpcError: RESOURCE_NOT_FOUND, ENCRYPTION_KEY_MISSING.
        """
        stored = await self.stored(binding_id)
        if generation and generation != stored.binding.generation:
            found = await self.version(binding_id, generation)
            binding = replace(stored.binding, generation=generation)
            stored = rows.of(binding, found.content)
        return self.open(stored)

    async def list_by_id(
        self, *, tenant_id: str, plugin_id: str, after_id: str, most: int
    ) -> list[Opened]:
        """Returns at most *most* bindings; '' stands for every tenant or plugin."""
        found = await self._ctx.db.read(
            lambda conn: rows.list_by_id(
                conn, tenant_id=tenant_id, plugin_id=plugin_id, after_id=after_id, most=most
            )
        )
        return [self.open(stored) for stored in found]

    def open(self, stored: rows.Stored) -> Opened:
        """Returns a binding with its secrets in clear."""
        ciphertext = stored.content.secrets
        held = binding_store.opened(self._vault, stored.binding.id, ciphertext)
        return Opened(stored=stored, held=held)

    async def versions(
        self, binding_id: str, *, below: int, most: int
    ) -> list[tuple[rows.Version, secrets.Secrets]]:
        """Returns at most *most* generations below one, newest first, with their secrets.

        Raises:
            errors.RpcError: RESOURCE_NOT_FOUND, ENCRYPTION_KEY_MISSING.
        """
        await self.stored(binding_id)
        found = await self._ctx.db.read(
            lambda conn: rows.versions(conn, binding_id, below=below, most=most)
        )
        return [
            (each, binding_store.opened(self._vault, binding_id, each.content.secrets))
            for each in found
        ]

    async def diff(
        self, binding_id: str, from_generation: int, to_generation: int
    ) -> list[value_change_pb2.ValueChange]:
        """Returns what two generations hold differently; 0 as the second is the newest.

        Raises:
            errors.RpcError: RESOURCE_NOT_FOUND, ENCRYPTION_KEY_MISSING.
        """
        to_generation = to_generation or (await self.stored(binding_id)).binding.generation
        sides = []
        for generation in (from_generation, to_generation):
            found = await self.version(binding_id, generation)
            held = binding_store.opened(self._vault, binding_id, found.content.secrets)
            sides.append((found.content, held))
        return binding_snapshots.differences(*sides)

    async def find(self, tenant_id: str, plugin_id: str) -> rows.Stored | None:
        """Returns a tenant's own binding, also a deleted one, or None."""
        return await self._ctx.db.read(lambda conn: rows.find(conn, tenant_id, plugin_id))

    async def stored(self, binding_id: str, *, deleted: bool = False) -> rows.Stored:
        """Returns a binding; with *deleted* also one that is.

        Raises:
            errors.RpcError: RESOURCE_NOT_FOUND.
        """
        found = await self._ctx.db.read(lambda conn: rows.load(conn, binding_id))
        if found is None or (found.binding.deleted and not deleted):
            raise errors.not_found("binding", binding_id)
        return found

    async def expected(self, binding_id: str, generation: int) -> rows.Stored:
        """Returns a binding that the caller has seen at *generation*.

        Raises:
            errors.RpcError: RESOURCE_NOT_FOUND, STALE_GENERATION.
        """
        found = await self.stored(binding_id)
        if found.binding.generation != generation:
            raise binding_refusals.stale(found.binding, generation)
        return found

    async def version(self, binding_id: str, generation: int) -> rows.Version:
        """Returns one generation of a binding.

        Raises:
            errors.RpcError: RESOURCE_NOT_FOUND.
        """
        found = await self._ctx.db.read(lambda conn: rows.version(conn, binding_id, generation))
        if found is None:
            raise errors.not_found("generation of a binding", f"{binding_id} {generation}")
        return found
