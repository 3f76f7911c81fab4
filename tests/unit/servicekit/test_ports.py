"""Ports are chosen once."""

import collections
import os
import socket
from collections.abc import Iterator

import pytest

from servicekit import ports


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Only 400 ports to choose from, unclaimed; some may be somebody else's.

    They lie outside the usual range, much of which other tests use at the same time, and
    where no other worker chooses from.
    """
    first = 14_000 + 400 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    claims: collections.deque[int] = collections.deque()
    monkeypatch.setattr(ports, "RANGE", (first, first + 400))
    monkeypatch.setattr(ports, "TRIES", 400)
    monkeypatch.setattr(ports, "CLAIMS_MAX", 350)
    monkeypatch.setattr(ports, "_claims", claims)
    yield
    for claim in claims:
        socket.close(claim)


@pytest.mark.usefixtures("few")
def test_what_is_claimed_is_not_chosen_again() -> None:
    """Whoever chooses next gets other ports, and is told when there are none."""
    first, second = ports.choose(150), ports.choose(150)

    assert len({*first, *second}) == 300
    with pytest.raises(ports.NoneFree, match="no 150 free ports"):
        ports.choose(150)


@pytest.mark.usefixtures("few")
def test_a_claim_keeps_nobody_from_listening() -> None:
    """The process that a port was chosen for takes it; then it is not chosen either."""
    (port,) = ports.choose(1)
    with socket.create_server((ports.HOST, port)):
        ports.choose(ports.CLAIMS_MAX)
        rest = ports.choose(25)

    assert port not in rest
