"""What one running plugin knows: bindings in force, work in progress, draining.

Owns the state that PluginService changes and the service of the plugin's kind
reads. Called by the servicers, by registration and by `serve`. Never survives a
restart: core is the only store and configures again.
"""

import asyncio
import functools
import sys
import uuid
import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from payhub.plugin.v1 import capability_pb2

from provider_sdk import errors, provider
from servicekit import clock as clocks
from servicekit import logs, sanitizer, tasks


@dataclass(slots=True, kw_only=True)
class Verdict:
    """What upstream last said of a binding's credentials.

    Args:
        generation: The one they belong to.
        accepted: Whether it took them.
        said_us: When, epoch microseconds.
    """

    generation: int
    accepted: bool
    said_us: int


class Host:
    """State of one plugin process.

    Args:
        provider: What is served.
        clock: Where the fence reads the time.
    """

    def __init__(self, provider: provider.Provider[Any], *, clock: clocks.Clock) -> None:
        self.provider = provider
        self.clock = clock
        self.instance_id = str(uuid.uuid4())
        # Operations look at `max_concurrent_calls`, which a provider may learn as it starts.
        self.tracker = tasks.Tracker(limit=sys.maxsize)
        self.customer_action_offered = False
        self.draining = False
        self.ready = False
        self._bindings: dict[str, Any] = {}
        self._verdicts: dict[str, Verdict] = {}
        self._changing: weakref.WeakValueDictionary[str, asyncio.Lock] = (
            weakref.WeakValueDictionary()
        )

    @property
    def domain(self) -> str:
        """ErrorInfo.domain of every failure: the plugin id."""
        return self.provider.plugin_id

    def binding(self, binding_id: str, generation: int = 0) -> provider.Binding[Any]:
        """Returns the binding in force, of *generation* or a newer one.

        Raises:
            BindingNotConfigured: There is none; core has to send Configure.
        """
        found: provider.Binding[Any] | None = self._bindings.get(binding_id)
        if found is None:
            raise errors.BindingNotConfigured(
                f"binding {binding_id[:64]} is not configured in this process; send Configure"
            )
        if found.generation < generation:
            raise errors.BindingNotConfigured(
                f"binding {binding_id[:64]} has generation {found.generation} in this process, and "
                f"core believes that it has {generation}; send Configure"
            )
        return found

    def offers(self, capability: capability_pb2.Capability) -> bool:
        """Returns whether the provider has *capability*, and does not have it disabled now."""
        plugin = self.provider
        return capability in plugin.capabilities and capability not in plugin.disabled

    def require(self, needed: capability_pb2.Capability) -> None:
        """Checks that the provider offers *needed* now.

        Raises:
            NotSupported: It does not, or has it disabled.
        """
        if self.offers(needed):
            return
        name, disabled = capability_pb2.Capability.Name(needed), self.provider.disabled
        if needed in disabled:
            raise errors.NotSupported(f"{name} is disabled: {disabled[needed]}")
        raise errors.NotSupported(f"{self.domain} does not offer {name}")

    def applied_generation(self, binding_id: str) -> int:
        """Returns the generation in force; 0 if there is none."""
        found: provider.Binding[Any] | None = self._bindings.get(binding_id)
        return found.generation if found is not None else 0

    def changing(self, binding_id: str) -> asyncio.Lock:
        """Returns what changes of one binding wait for; those of others never do."""
        lock = self._changing.get(binding_id)
        if lock is None:
            lock = self._changing[binding_id] = asyncio.Lock()
        return lock

    def bindings(self) -> list[provider.Binding[Any]]:
        """Returns every binding in force, sorted by id."""
        return [self._bindings[binding_id] for binding_id in sorted(self._bindings)]

    def hide_secrets(self, binding_id: str = "", *, sent: Iterable[bytes] = ()) -> None:
        """Keeps secrets out of tracebacks of the call, and of what it answers.

        Args:
            binding_id: Whose; all that there are if empty.
            sent: Further ones, which the call brings.
        """
        if not binding_id:
            held = self.bindings()
        else:
            held = [self._bindings[binding_id]] if binding_id in self._bindings else []
        logs.hide(functools.partial(secret_texts, held, tuple(sent)))

    def put_binding(self, binding: provider.Binding[Any]) -> None:
        """Makes *binding* the one in force; running calls keep the one they have."""
        self._bindings[binding.binding_id] = binding

    def drop_binding(self, binding_id: str) -> None:
        """Forgets a binding and its secrets."""
        self._bindings.pop(binding_id, None)
        self._verdicts.pop(binding_id, None)

    def credentials_were(self, *, accepted: bool, binding: provider.Binding[Any]) -> None:
        """Notes what upstream said of the credentials of *binding*, if it is in force."""
        if self._bindings.get(binding.binding_id) is binding:
            self._verdicts[binding.binding_id] = Verdict(
                generation=binding.generation, accepted=accepted, said_us=self.clock.now_us()
            )

    def verdict(self, binding: provider.Binding[Any]) -> Verdict | None:
        """Returns what upstream last said of the credentials; None if not of these."""
        found = self._verdicts.get(binding.binding_id)
        return found if found is not None and found.generation == binding.generation else None

    async def drain(self, grace_s: float) -> int:
        """Refuses new work, waits for what runs; returns how many calls still do."""
        self.draining = True
        return await self.tracker.drain(grace_s)


def secret_texts(
    bindings: Iterable[provider.Binding[Any]], sent: Iterable[bytes] = ()
) -> list[str]:
    """Returns how the secrets of *bindings*, and those that are *sent*, may turn up in a text."""
    held = (
        secret.reveal()
        for binding in bindings
        for versions in binding.secrets.values()
        for secret in versions
    )
    return [text for secret in (*held, *sent) for text in sanitizer.forms(secret)]
