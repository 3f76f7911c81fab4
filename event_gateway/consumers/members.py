"""The members of a consumer: who is there, and who gets which key.

Owns sessions, their credit and the choice among them. Called by the machine.
Never knows events or connections.
"""

import dataclasses
import hashlib
from collections.abc import Collection

CREDIT_MAX = 10_000
# Remembered choices; keys come and go, so the memory has a limit.
_CHOICES_MAX = 20_000


@dataclasses.dataclass(slots=True, kw_only=True, eq=False)
class Session:
    """One stay of a member.

    Attributes:
        number: Unique, rising with every join.
        name: Of the member; stays over reconnects.
        credit: Deliveries it may still get.
    """

    number: int
    name: str
    credit: int = 0

    def grant(self, events: int) -> None:
        """Adds to the credit, up to the limit."""
        self.credit = min(self.credit + events, CREDIT_MAX)


class Members:
    """The sessions of one consumer."""

    def __init__(self) -> None:
        self._sessions: dict[int, Session] = {}
        self._numbers = 0
        self._choices: dict[tuple[str, int], int] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def __contains__(self, number: int) -> bool:
        return number in self._sessions

    def join(self, name: str, credit: int) -> Session:
        """Takes in a member."""
        self._numbers += 1
        session = Session(number=self._numbers, name=name)
        session.grant(credit)
        self._sessions[session.number] = session
        return session

    def leave(self, session: Session) -> None:
        """Forgets a session; may be called again."""
        self._sessions.pop(session.number, None)

    def first(self) -> Session | None:
        """Returns who came first of those that are there."""
        return next(iter(self._sessions.values()), None)

    def choose(self, key: str, ready: Collection[Session]) -> Session:
        """Returns who of *ready*, not empty, gets *key*: the highest in the ranking of the key
        (rendezvous hashing), so that few keys move when members come and go.
        """
        if len(ready) == 1:
            return next(iter(ready))
        return max(ready, key=lambda session: self._weight(key, session))

    def _weight(self, key: str, session: Session) -> int:
        known = self._choices.get((key, session.number))
        if known is None:
            if len(self._choices) >= _CHOICES_MAX:
                self._choices.clear()
            text = f"{session.name}\0{key}".encode()
            known = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")
            self._choices[key, session.number] = known
        return known
