"""The providers that are set up, by name.

Owns the choice of a provider and the id of a tenant's binding to it. Called by
the use cases. Never reads settings: it is given what they hold.
"""

import functools
import uuid
from collections.abc import Iterable, Mapping

from payment_service.provider_client import client

# Fixed for ever: binding ids are derived from it and stored with payments.
_BINDINGS = uuid.UUID("6f0f4c0e-31a5-4f2f-9b6c-7d1f5d2f4a10")


class Registry:
    """Providers by plugin id, and the one used when a request names none."""

    def __init__(self, providers: Mapping[str, client.ProviderClient], default: str) -> None:
        self._providers = dict(providers)
        self.default = default

    def find(self, name: str) -> client.ProviderClient | None:
        """Returns the provider of that name, or the default one for an empty name."""
        return self._providers.get(name or self.default)

    def names(self) -> list[str]:
        """Returns every name, sorted."""
        return sorted(self._providers)

    def all(self) -> Iterable[client.ProviderClient]:
        """Returns every provider."""
        return self._providers.values()

    def start(self) -> None:
        """Connects to every provider."""
        for provider in self._providers.values():
            provider.start()

    async def close(self) -> None:
        """Closes every connection."""
        for provider in self._providers.values():
            await provider.close()


@functools.lru_cache(maxsize=4096)
def binding_id(tenant_id: str, provider: str) -> str:
    """Returns the id of a tenant's binding to a provider: always the same."""
    return str(uuid.uuid5(_BINDINGS, f"{tenant_id}/{provider}"))
