"""Secret values that must never come back.

Owns the values handed to the provider during a run and the search for them in
everything it says. Called by `channels` for each answer and by the last check for
logs and metrics. Never shows a value: a leak names the slot and the place.
"""

import base64
import enum
import secrets
import urllib.parse

# Shorter ones turn up by chance.
SHORTEST = 8
LEAKS_MAX = 50


class Where(enum.Enum):
    """Kinds of place."""

    WIRE = "wire"
    LOG = "log"
    METRICS = "metrics"


class Canaries:
    """What was handed out and where it was seen."""

    def __init__(self) -> None:
        self._forms: dict[bytes, str] = {}
        self._leaks: dict[str, Where] = {}

    def new(self, slot: str, prefix: str = "") -> bytes:
        """Returns a fresh random value for *slot* and watches for it."""
        value = f"{prefix}canary_{secrets.token_urlsafe(24)}".encode()
        self.watch(slot, value)
        return value

    def watch(self, slot: str, value: bytes) -> None:
        """Looks out for *value* in plain, base64, hexadecimal and URL-quoted form."""
        if len(value) < SHORTEST:
            return
        # Without the last characters: what follows the value may change them.
        encoded = base64.b64encode(value).rstrip(b"=")[:-2]
        quoted = urllib.parse.quote(value).encode()
        safe = base64.urlsafe_b64encode(value).rstrip(b"=")[:-2]
        for form in (value, encoded, safe, value.hex().encode(), quoted):
            self._forms[form] = slot

    @property
    def watched(self) -> bool:
        """Whether there is anything to look for."""
        return bool(self._forms)

    def leaks(self, *where: Where) -> list[str]:
        """Returns every place of these kinds where a secret was seen, at most 50 in all."""
        return [leak for leak, kind in self._leaks.items() if kind in where]

    def inspect(self, said: bytes | str, *, place: str, where: Where = Where.WIRE) -> None:
        """Searches what the provider said.

        Args:
            said: An answer, a status, a log line.
            place: What it was, for the report.
            where: Kind of place.
        """
        data = said.encode(errors="replace") if isinstance(said, str) else said
        for form, slot in self._forms.items():
            if form in data and len(self._leaks) < LEAKS_MAX:
                self._leaks.setdefault(f"the secret {slot} in {place}", where)
