"""Where webhooks may go: what of a URL and of an address is refused.

Owns the rules against requests into private networks. Called by the API when a URL
is stored and by the sender for each connection: a name is resolved once, every
address is checked, and exactly these are connected to.
"""

import asyncio
import contextlib
import ipaddress
import re
import socket
import threading
import urllib.parse

import aiohttp
import aiohttp.abc

# Of a process, over all endpoints; each has its own limit far below.
CONNECTIONS_MAX = 10_000
# Look-ups at a time, one for each name: more than one tenant has endpoints.
LOOKUPS_MAX = 256
_Found = list[tuple[int, int, str]]
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?", re.IGNORECASE)
_NAME_CHARS_MAX = 253
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# What older tables of the standard library take for public: protocol assignments and relays, and
# where clouds answer their own machines alone (192.0.0.192, 168.63.129.16).
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(each)
    for each in ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32", "3fff::/20")
)
_UNLESS_PRIVATE = "unless EVENT_GATEWAY_WEBHOOK_PRIVATE_TARGETS is set"


class BlockedAddress(OSError):
    """The target lies where no webhook may go."""


def problem(url: str, *, plain_http: bool, private: bool) -> str | None:
    """Returns what is wrong with a URL, or None.

    Args:
        url: What a tenant wants to be called at.
        plain_http: Whether http is allowed beside https.
        private: Whether private, loopback and link-local addresses are allowed.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "is not a URL"
    if parts.scheme != "https" and not (plain_http and parts.scheme == "http"):
        if plain_http:
            return "must be an https or http URL"
        return "must be an https URL, unless EVENT_GATEWAY_WEBHOOK_PLAIN_HTTP is set"
    if not host or parts.username is not None or parts.password is not None or parts.fragment:
        return "must have a host, and no user, password or fragment"
    if port == 0:
        return "has a port that nothing listens on"
    if not url.isascii() or any(ord(each) <= 0x20 for each in url):
        return "must be in ASCII, without blanks"
    if not _may_be_host(host, in_brackets="[" in parts.netloc):
        return "has a host that is neither a name nor an address"
    if not private:
        name = host.rstrip(".").lower()
        if name == "localhost" or name.endswith((".localhost", ".local", ".internal")):
            return f"must not name this host or its network, {_UNLESS_PRIVATE}"
        if _literal(host) and not is_public(host):
            return f"must not lie in a private, loopback or link-local network, {_UNLESS_PRIVATE}"
    return None


def _may_be_host(host: str, *, in_brackets: bool) -> bool:
    """Whether a URL's host has the form of a name in DNS or of an address."""
    if not in_brackets:
        return len(host.rstrip(".")) <= _NAME_CHARS_MAX and _NAME.fullmatch(host) is not None
    try:
        ipaddress.IPv6Address(host.split("%")[0])
    except ValueError:
        return False
    return True


def is_public(address: str) -> bool:
    """Whether an address belongs to the public internet."""
    try:
        found = ipaddress.ip_address(address.split("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if inner is None and found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if found.teredo is not None or (inner is not None and not is_public(str(inner))):
            return False
        if found.is_site_local:
            return False
    if any(found in each for each in _NOT_PUBLIC):
        return False
    return found.is_global and not (found.is_multicast or found.is_reserved)


class SystemResolver(aiohttp.abc.AbstractResolver):
    """Asks the operating system, in threads of its own. A name whose servers do not answer keeps
    one thread busy for many seconds, however many want it. No other look-up waits for that thread,
    nor does the end of the process.
    """

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(LOOKUPS_MAX)
        self._looking: dict[tuple[str, int], asyncio.Task[_Found]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[aiohttp.abc.ResolveResult]:
        """Returns the addresses of *host*."""
        key = (host, family)
        looking = self._looking.get(key)
        if looking is None:
            looking = asyncio.create_task(self._look(host, family))
            self._looking[key] = looking
            looking.add_done_callback(lambda done: self._looked(key, done))
        flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        return [
            aiohttp.abc.ResolveResult(
                hostname=host, host=address, port=port, family=kind, proto=proto, flags=flags
            )
            for kind, proto, address in await asyncio.shield(looking)
        ]

    async def close(self) -> None:
        """Looks nothing up any more."""
        for looking in self._looking.values():
            looking.cancel()

    async def _look(self, host: str, family: int) -> _Found:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[_Found] = loop.create_future()
        async with self._free:
            # Not of a pool: the interpreter waits at its end for what these are at.
            threading.Thread(
                target=_answer,
                args=(loop, ended, host, family),
                name="webhook-lookup",
                daemon=True,
            ).start()
            return await ended

    def _looked(self, key: tuple[str, int], done: asyncio.Task[_Found]) -> None:
        del self._looking[key]
        if not done.cancelled():
            # Whoever wanted it may have gone meanwhile.
            done.exception()


def _answer(
    loop: asyncio.AbstractEventLoop, ended: asyncio.Future[_Found], host: str, family: int
) -> None:
    """Looks a name up and tells the loop, if that still wants to know."""
    found: _Found = []
    failure: Exception | None = None
    try:
        found = _look_up(host, family)
    except Exception as problem:
        failure = problem

    def tell() -> None:
        if ended.done():
            return
        if failure is None:
            ended.set_result(found)
        else:
            ended.set_exception(failure)

    # The loop may be closed by now.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(tell)


def _look_up(host: str, family: int) -> _Found:
    """Returns families, protocols and addresses; those of a scope name it."""
    found = socket.getaddrinfo(
        host, None, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
    )
    return [
        (kind, proto, f"{place[0]}%{place[3]}" if len(place) > 3 and place[3] else str(place[0]))
        for kind, _, proto, _, place in found
    ]


class Resolver(aiohttp.abc.AbstractResolver):
    """Resolves names for the sender, and lets no forbidden address through.

    Args:
        private: Whether private, loopback and link-local addresses are allowed.
        inner: Who resolves.
    """

    def __init__(self, *, private: bool, inner: aiohttp.abc.AbstractResolver | None = None) -> None:
        self._private = private
        self._inner = inner or SystemResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[aiohttp.abc.ResolveResult]:
        """Returns the addresses of *host*; all of them must be allowed."""
        found = await self._inner.resolve(host, port, family)
        for each in found:
            if not self._private and not is_public(each["host"]):
                raise BlockedAddress("the name leads into a private network")
        return found

    async def close(self) -> None:
        """Closes the inner resolver."""
        await self._inner.close()


def check_literal(host: str, *, private: bool) -> None:
    """Checks an address in a URL, which no resolver sees.

    Raises:
        BlockedAddress: It is not allowed.
    """
    if not private and _literal(host) and not is_public(host):
        raise BlockedAddress("the address lies in a private network")


def _literal(host: str) -> bool:
    """Whether *host* is an address in any spelling that a socket takes, such as `127.1`, or that
    the client takes for one and asks no resolver about, such as `127.0.0.1.` or `v1.a:b.example`.
    """
    if ":" in host or host.replace(".", "").isdigit():
        return True
    try:
        ipaddress.ip_address(host.split("%")[0])
    except ValueError:
        pass
    else:
        return True
    try:
        socket.inet_aton(host)
    except OSError:
        return False
    return True


def connector(
    *, private: bool, inner: aiohttp.abc.AbstractResolver | None = None
) -> aiohttp.TCPConnector:
    """Returns the connector of a session that goes only where it may."""
    return aiohttp.TCPConnector(
        resolver=Resolver(private=private, inner=inner), use_dns_cache=False, limit=CONNECTIONS_MAX
    )
