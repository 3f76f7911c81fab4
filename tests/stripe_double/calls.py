"""One API request as handlers see it, and the lists that most of them offer.

Owns pagination, list filters and the expansion of ids. Made by server. Never speaks HTTP.
"""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

from tests.stripe_double import errors, forms, store

Json = dict[str, Any]
Handler = Callable[["Call"], Json]
Route = tuple[str, str, Handler]

PAGE_DEFAULT = 10
PAGE_MAX = 100
PAGING = ("limit", "starting_after", "ending_before")
EXPANSIONS_MAX = 20

# What an expandable field holds when its name isn't the kind of object.
_KINDS = {
    "latest_charge": "charge",
    "latest_invoice": "invoice",
    "default_payment_method": "payment_method",
    "default_price": "price",
    "pending_setup_intent": "setup_intent",
}
# Fields that are absent unless asked for: (kind, field) to what makes them.
INCLUDABLE: dict[tuple[str, str], Callable[[store.World, str, Json], Any]] = {}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request that passed authentication.

    Attributes:
        account: The account that it acts on.
        path: The ids in its path.
        params: Its parameters.
        key: Its idempotency key.
    """

    world: store.World
    account: str
    path: Json
    params: forms.Params
    url: str
    key: str | None = None

    def now(self) -> int:
        """Returns the double's time."""
        return self.world.clock.now()

    def listed(self, kind: str, *, equal: Iterable[str] = (), more: Iterable[str] = ()) -> Json:
        """Returns the page of a list that the request asks for.

        Args:
            kind: The kind of object.
            equal: Parameters that filter by the field of the same name.
            more: Further parameters, which the caller has applied or will.
        """
        equal = tuple(equal)
        self.params.only({*PAGING, "created", *equal, *more})
        items = [
            item
            for item in self.world.all(self.account, kind)
            if self.params.within("created", item["created"])
            and all(
                name not in self.params or _same(self.params.text(name), item.get(name))
                for name in equal
            )
        ]
        return self.page(items)

    def page(self, items: list[Json]) -> Json:
        """Returns one page of *items*, which are newest first."""
        limit = self.params.number("limit", PAGE_DEFAULT) or 0
        if not 1 <= limit <= PAGE_MAX:
            raise errors.bad_parameter(
                f"Invalid integer: limit must be between 1 and {PAGE_MAX}", "limit"
            )
        ids = [item["id"] for item in items]
        after, before = self.params.text("starting_after"), self.params.text("ending_before")
        for name, cursor in (("starting_after", after), ("ending_before", before)):
            if cursor is not None and cursor not in self.world.objects.get(self.account, {}):
                raise errors.no_such("object", cursor, name)
        if after is not None:
            items = items[ids.index(after) + 1 :] if after in ids else []
        elif before is not None:
            items = items[: ids.index(before)] if before in ids else []
            page = items[-limit:]
            return _list(self.url, page, len(items) > limit)
        return _list(self.url, items[:limit], len(items) > limit)


def _same(asked: str | None, value: Any) -> bool:
    if isinstance(value, bool):
        return asked == str(value).lower()
    return bool(asked == value)


def _list(url: str, items: list[Json], more: bool) -> Json:
    return {"object": "list", "data": items, "has_more": more, "url": url}


def whole_list(url: str, items: list[Json]) -> Json:
    """Returns a list object with everything in it."""
    return {"object": "list", "data": items, "has_more": False, "url": url}


def expand(world: store.World, account: str, answer: Json, params: forms.Params) -> Json:
    """Returns a copy of an answer with the ids that `expand` names replaced by objects.

    Raises:
        errors.Refusal: A path names nothing that can be expanded.
    """
    answer = store.copied(answer)
    paths = params.texts("expand")
    if len(paths) > EXPANSIONS_MAX:
        raise errors.bad_parameter(f"You can expand up to {EXPANSIONS_MAX} properties.", "expand")
    for path in paths:
        _expand(world, account, answer, path.split("."), path)
    return answer


def _expand(world: store.World, account: str, node: Any, parts: list[str], path: str) -> None:
    if isinstance(node, list):
        for item in node:
            _expand(world, account, item, parts, path)
        return
    name, rest = parts[0], parts[1:]
    if not isinstance(node, dict):
        raise errors.bad_parameter(f"This property cannot be expanded ({path}).", "expand")
    making = INCLUDABLE.get((node.get("object", ""), name))
    if name not in node and making is not None:
        node[name] = store.copied(making(world, account, node))
    if name not in node:
        raise errors.bad_parameter(f"This property cannot be expanded ({path}).", "expand")
    value = node[name]
    if isinstance(value, str):
        found = world.find(account, _KINDS.get(name, name), value)
        if found is None:
            raise errors.bad_parameter(f"This property cannot be expanded ({path}).", "expand")
        node[name] = value = store.copied(found)
    if rest and value is not None:
        _expand(world, account, value, rest, path)
