"""Search: a query language over an index that lags behind.

Owns the parsing of queries and what the index has seen. Called by the search routes. An object
younger than the lag isn't found, so an empty result proves nothing.
"""

import re
from collections.abc import Collection
from typing import Any

from tests.stripe_double import calls, errors

Json = dict[str, Any]

_TERM = re.compile(
    r"""^\s*(?P<negated>-)?(?P<field>\w+)(?:\[["'](?P<key>[^"']+)["']\])?"""
    r"""(?P<sign>:|~|>=|<=|>|<)(?:["'](?P<text>(?:[^"'\\]|\\.)*)["']|(?P<number>\d+))\s*$"""
)
_JOIN = re.compile(r"\s+AND\s+", re.IGNORECASE)


def _bad(query: str) -> errors.Refusal:
    return errors.bad_parameter(
        f"We were unable to parse your search query: {query}. The double understands terms like "
        "metadata['key']:'value', status:'succeeded' and created>1700000000, joined by AND.",
        "query",
    )


def _matches(item: Json, term: re.Match[str]) -> bool:
    value = item.get(term["field"])
    if term["key"] is not None:
        value = (value or {}).get(term["key"])
    wanted: Any = term["text"] if term["text"] is not None else int(term["number"])
    if isinstance(wanted, str):
        wanted = re.sub(r"\\(.)", r"\1", wanted)
        if isinstance(value, int) and wanted.isdigit():
            wanted = int(wanted)
    if term["sign"] == ":":
        found = value == wanted
    elif value is None:
        found = False
    elif term["sign"] == "~":
        found = str(wanted).lower() in str(value).lower()
    else:
        found = {
            ">": value > wanted,
            "<": value < wanted,
            ">=": value >= wanted,
            "<=": value <= wanted,
        }[term["sign"]]
    return not found if term["negated"] else found


def answer(call: calls.Call, kind: str, fields: Collection[str]) -> Json:
    """Returns what the index knows of a kind for the query of a request.

    Raises:
        errors.Refusal: The query is malformed or names a field that can't be searched.
    """
    params = call.params.only({"query", "limit", "page"})
    query = params.needed("query")
    terms = []
    for part in _JOIN.split(query):
        term = _TERM.match(part)
        if term is None or term["field"] not in {*fields, "created", "metadata"}:
            raise _bad(query)
        if (term["field"] == "metadata") != (term["key"] is not None):
            raise _bad(query)
        terms.append(term)
    limit = params.number("limit", calls.PAGE_DEFAULT) or 0
    if not 1 <= limit <= calls.PAGE_MAX:
        raise errors.bad_parameter("Invalid integer: limit must be between 1 and 100", "limit")
    start = int(params.text("page", "0") or "0")
    seen_s = call.world.clock.exact_s() - call.world.settings.search_lag_s
    found = [
        item
        for item in call.world.all(call.account, kind)
        if call.world.behind(item["id"])["made_s"] <= seen_s
        and all(_matches(item, term) for term in terms)
    ]
    more = len(found) > start + limit
    return {
        "object": "search_result",
        "data": found[start : start + limit],
        "has_more": more,
        "next_page": str(start + limit) if more else None,
        "url": call.url,
    }
