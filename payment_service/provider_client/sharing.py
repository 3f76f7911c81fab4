"""Whether one address leads to several processes of a plugin, as one that balances does.

Owns dialling it several times for that alone. Called by the use case of leases before it takes
processes that follow each other at an address for crashes. Never sends anything but handshakes.
"""

import asyncio
import socket

from payment_service.provider_client import introduction
from servicekit import tls

# With two processes behind an address that picks at random, all dials reach the same one in 1 of
# 4,096 cases.
DIALS_MAX = 12
AT_ONCE = 4
# A process that hangs behind the address keeps a dial waiting.
LONGEST_S = 10.0


async def leads_elsewhere(
    dialer: tls.Dialer, endpoint: str, plugin_id: str, instance_id: str
) -> bool:
    """Whether another process of a plugin than *instance_id* answers at *endpoint* too, at one of
    the addresses that its name has.
    """
    try:
        async with asyncio.timeout(LONGEST_S):
            places = await _places(endpoint)
            host = endpoint.rpartition(":")[0].strip("[]")
            for start in range(0, DIALS_MAX, AT_ONCE):
                batch = [places[n % len(places)] for n in range(start, start + AT_ONCE)]
                answered = await asyncio.gather(
                    *[_who(dialer, each, plugin_id, host) for each in batch]
                )
                if set(answered) - {"", instance_id}:
                    return True
    except TimeoutError:
        pass
    return False


async def _places(endpoint: str) -> list[str]:
    """Returns every address of an endpoint, as gRPC takes them."""
    host, _, port = endpoint.rpartition(":")
    running = asyncio.get_running_loop()
    try:
        found = await running.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except OSError:
        return [endpoint]
    return [
        f"[{address[0]}]:{port}" if ":" in str(address[0]) else f"{address[0]}:{port}"
        for *_, address in found
    ]


async def _who(dialer: tls.Dialer, endpoint: str, plugin_id: str, host: str) -> str:
    """Returns which process of a plugin answers; '' if none does."""
    try:
        identity = (await introduction.greet(dialer, endpoint, host=host)).identity
    except introduction.Unreachable:
        return ""
    return identity.instance_id if identity.plugin_id == plugin_id else ""
