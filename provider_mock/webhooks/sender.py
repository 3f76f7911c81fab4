"""Sends what waits in the queue of webhooks.

Owns HTTP out, retries, and the ways in which deliveries misbehave on purpose.
Run by the provider's loop. Never drops an event before its last retry, and
never changes what an event says.
"""

import asyncio
import dataclasses
import secrets as randomness
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import aiohttp

from provider_mock.webhooks import journal, signing
from provider_sdk import calls
from servicekit import logs, storage

SEND_MAX = 32
TIMEOUT_S = 10.0
# After a restart nobody has said yet what to sign with.
UNCONFIGURED_PAUSE_US = 200_000
UNCONFIGURED_PAUSE_MAX_US = 10_000_000
UNCONFIGURED_MAX_US = 4 * 86_400_000_000
# A binding may be configured in steps; one that stays without a secret wants no webhooks.
UNSIGNED_MAX_US = 60_000_000
NO_SECRET = "no secret"

SignWith = Literal["newest", "oldest", "all"]
Secrets = Mapping[str, Sequence[calls.Secret]]
"""Versions of the signing secret by binding, the highest first."""

_log = logs.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """How deliveries behave; shares are from 0 to 1 and fall on the same events each run.

    Args:
        sign_with: Which of a binding's secrets sign.
        duplicate_share: Of the events, sent twice.
        wrong_signature_share: Of the events, sent with a wrong signature the first time.
        held: Nothing is sent until this is taken back.
    """

    sign_with: SignWith = "newest"
    duplicate_share: float = 0.0
    wrong_signature_share: float = 0.0
    held: bool = False


class Sender:
    """The outgoing side of the simulated provider.

    Args:
        url: Where webhooks go; `{binding_id}` is replaced.
        retry_after_s: Pauses after refused or failed deliveries; after the last the event is
            given up.
        now_us: The machine's time.
        secrets: Returns what to sign with now.
    """

    def __init__(
        self,
        url: str,
        *,
        retry_after_s: Sequence[float],
        now_us: Callable[[], int],
        secrets: Callable[[], Secrets],
    ) -> None:
        self.manners = Manners()
        self._url = url
        self._retry_after_s = tuple(retry_after_s)
        self._now_us = now_us
        self._secrets = secrets
        # Since when bindings have been without a secret.
        self._unsigned_us: dict[str, int] = {}
        self._session: aiohttp.ClientSession | None = None

    def behave(self, **changes: object) -> Manners:
        """Changes how deliveries behave from now on."""
        self.manners = dataclasses.replace(self.manners, **changes)  # type: ignore[arg-type]
        return self.manners

    async def close(self) -> None:
        """Closes connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def run(self, database: storage.Database) -> int:
        """Sends what is due, many at once; returns how many deliveries were tried."""
        if self.manners.held:
            return 0
        now_us = self._now_us()
        due = await database.read(lambda conn: journal.due(conn, now_us, SEND_MAX))
        if not due:
            return 0
        await asyncio.gather(*(self._deliver(database, event) for event in due))
        return len(due)

    async def send(self, event: journal.Event, *, wrong_signature: bool = False) -> str:
        """Sends an event once, whether it is due or not.

        Returns:
            The HTTP status as text, or what went wrong.
        """
        versions = self._secrets().get(event.binding_id, ())
        keys = [version.reveal() for version in versions]
        if self.manners.sign_with == "newest":
            keys = keys[:1]
        elif self.manners.sign_with == "oldest":
            keys = keys[-1:]
        if not keys:
            return NO_SECRET
        if wrong_signature:
            keys = [randomness.token_bytes(32)]
        body = event.body.encode()
        headers = signing.headers(event.event_id, self._now_us() // 1_000_000, body, keys)
        headers["content-type"] = "application/json"
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))
        try:
            async with self._session.post(
                self._url.replace("{binding_id}", event.binding_id),
                data=body,
                headers=headers,
                allow_redirects=False,
            ) as response:
                return str(response.status)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return type(error).__name__

    async def _deliver(self, database: storage.Database, event: journal.Event) -> None:
        if status := self._missing(event.binding_id):
            await self._wait(database, event, status)
            return
        first = event.attempts == 0
        forged = first and self._falls_on(event, "sign", self.manners.wrong_signature_share)
        status = await self.send(event, wrong_signature=forged)
        if first and self._falls_on(event, "twice", self.manners.duplicate_share):
            await self.send(event)
        due_us = None
        again = status != NO_SECRET and event.attempts < len(self._retry_after_s)
        if not status.startswith("2") and again:
            # A forgery is refused, and the provider knows nothing of it: it sends at once.
            pause_s = 0.0 if forged else self._retry_after_s[event.attempts]
            due_us = self._now_us() + round(pause_s * 1e6)
        await database.write(lambda conn: journal.note(conn, event, due_us=due_us, status=status))
        if not status.startswith("2"):
            _log.info("webhook not taken", event_id=event.event_id, status=status, forged=forged)

    def _missing(self, binding_id: str) -> str:
        """Returns what a binding does not have (yet) that webhooks are signed with, or ''."""
        held, now_us = self._secrets().get(binding_id), self._now_us()
        if held is None:
            return "not configured"
        if held:
            self._unsigned_us.pop(binding_id, None)
            return ""
        since_us = self._unsigned_us.setdefault(binding_id, now_us)
        return NO_SECRET if now_us - since_us < UNSIGNED_MAX_US else ""

    async def _wait(self, database: storage.Database, event: journal.Event, status: str) -> None:
        """Puts off an event whose binding is not configured (yet): no try is used up."""
        now_us = self._now_us()
        age_us = now_us - event.created_us
        pause_us = min(max(age_us // 100, UNCONFIGURED_PAUSE_US), UNCONFIGURED_PAUSE_MAX_US)
        due_us = now_us + pause_us if age_us < UNCONFIGURED_MAX_US else None
        await database.write(
            lambda conn: journal.put_off(conn, event, due_us=due_us, status=status)
        )

    def _falls_on(self, event: journal.Event, what: str, share: float) -> bool:
        return journal.fraction(event.event_id, what) < share
