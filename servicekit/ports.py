"""Ports for processes that somebody is about to start.

Owns choosing those that nobody has, and claiming them until they are used: programs that
choose at the same time never choose the same. Called by what starts services that have to
know each other's addresses before. Never listens for connections.
"""

import collections
import random
import socket

HOST = "127.0.0.1"
# Below the range that Linux, macOS and Windows take outgoing ports from, so that
# a port chosen here is not taken by somebody's connection before it is used.
RANGE = (20_000, 32_000)
TRIES = 200
# The oldest claims end first: long before, those ports are listened on.
CLAIMS_MAX = 120

# File descriptors: nobody closes them at the end, which ends the claims as well.
_claims: collections.deque[int] = collections.deque()


class NoneFree(Exception):
    """Too many of the tried ports are taken."""


def choose(count: int) -> list[int]:
    """Return `count` (at most 100) distinct TCP ports of 127.0.0.1, claimed by this process.

    A claim is a UDP socket on the same number: it stands in nobody's way but another
    chooser's, and ends with this process or after `CLAIMS_MAX` more.

    Raises:
        NoneFree: `TRIES` ports were tried.
    """
    claims: dict[int, socket.socket] = {}
    for port in random.SystemRandom().sample(range(*RANGE), TRIES):
        if len(claims) == count:
            break
        claim = socket.socket(type=socket.SOCK_DGRAM)
        with socket.socket() as probe:
            try:
                claim.bind((HOST, port))
                probe.bind((HOST, port))
            except OSError:
                claim.close()
            else:
                claims[port] = claim
    if len(claims) < count:
        for claim in claims.values():
            claim.close()
        raise NoneFree(f"no {count} free ports on {HOST} between {RANGE[0]} and {RANGE[1]}")
    _claims.extend(claim.detach() for claim in claims.values())
    while len(_claims) > CLAIMS_MAX:
        socket.close(_claims.popleft())
    return list(claims)
