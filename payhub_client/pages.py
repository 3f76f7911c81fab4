"""Lists that come in pages.

Owns asking for one page after the other. Called by the API modules' iterators. Never asks for
a page before the one before it is used up.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Protocol, TypeVar

_T = TypeVar("_T")


class Page(Protocol):
    """A response that holds a part of a list."""

    next_page_token: str


_P = TypeVar("_P", bound=Page)


async def through(
    fetch: Callable[[str], Awaitable[_P]], items: Callable[[_P], Iterable[_T]]
) -> AsyncIterator[_T]:
    """Go through the `items` of every page that `fetch` returns for a page token."""
    token = ""
    while True:
        page = await fetch(token)
        for item in items(page):
            yield item
        token = page.next_page_token
        if not token:
            return
