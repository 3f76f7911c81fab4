"""Which instances of a plugin may be used, and what they offer together.

Owns the view of one plugin: what the catalog says of it, which links take operations or answer
look-ups, and why none does. Called by `pool`, which sends, and by whoever asks what a provider
can. Never calls an instance.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from payhub.plugin.v1 import capability_pb2

from payment_service.provider_client import asking, choosing, introduction, link

Fits = Callable[[link.Link], bool]
NO_PLAN = choosing.Plan()
_CAP = capability_pb2
# Of how long the provider remembers an operation's id. What is left is for clocks that
# differ and for the request's own way.
SHARE = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What the catalog says of a plugin; `barred` holds why a version takes no operations.

    `known` is what the current version said when it was seen last, `said` what any version did,
    None if that is not known.
    """

    endpoint: str = ""
    plan: choosing.Plan = NO_PLAN
    barred: Mapping[str, str] = field(default_factory=dict)
    known: introduction.Known | None = None
    said: Callable[[str], introduction.Known | None] = lambda version: None


class Roster(asking.Asking):
    """The instances of one plugin, as far as they may be used.

    Args:
        name: Plugin id.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.situation = Situation()
        # The instance there is, if there is one and it may be used: nothing to choose.
        self._only: link.Link | None = None
        self._known: introduction.Known | None = None

    def settle(self, situation: Situation) -> None:
        """Takes note of what the catalog says, or of links that came and went."""
        self.situation = situation
        usable = [each for each in self.links.values() if each.version not in situation.barred]
        alone = len(usable) == 1 and len(self.links) == 1
        self._only = usable[0] if alone else None
        self._known = self._offered(usable)

    @property
    def endpoint(self) -> str:
        """Where it is: its static endpoint, or that of one of its instances."""
        if self.situation.endpoint:
            return self.situation.endpoint
        return next((each.endpoint for each in self.links.values()), "")

    @property
    def known(self) -> introduction.Known | None:
        """What it offers: what every version that takes new operations does."""
        return self._known

    @property
    def ready(self) -> bool:
        """Whether an instance takes operations."""
        return any(self._takes(each) for each in self.links.values())

    @property
    def detail(self) -> str:
        """Why no instance takes operations, for people; '' if one does."""
        if self.ready:
            return ""
        problems = {self._problem(each) for each in self.links.values()}
        return "; ".join(sorted(problems))[:256] or "no instance is registered"

    def lacks(self, *needed: int) -> str:
        """Returns the first capability of *needed* the provider is known not to have."""
        if self._known is None:
            return ""
        for capability in needed:
            if capability not in self._known.capabilities:
                name = capability_pb2.Capability.Name(capability)
                return name.removeprefix("CAPABILITY_")
        return ""

    def takes(self, currency: str) -> bool:
        """Whether the provider takes a currency, as far as is known."""
        known = self._known
        return known is None or not known.currencies or currency in known.currencies

    def said(self, version: str) -> introduction.Known | None:
        """Returns what a version said of itself; None only where no version is named.

        The version that was sent an operation decides whether it can be found and how long it is
        remembered, whatever the versions that run now can do.
        """
        if not version:
            return None
        for each in self.links.values():
            if each.version == version and each.client.known is not None:
                return each.client.known
        return self.situation.said(version) or introduction.NOTHING

    def finds(self, version: str) -> bool:
        """Whether NOT_FOUND proves that an operation sent to *version* did not take place."""
        known = (self._known, self.said(version))
        return all(_CAP.CAPABILITY_OPERATION_LOOKUP in each.capabilities for each in known if each)

    def repeatable_s(self, version: str) -> float:
        """Returns for how many seconds from its creation an operation sent to *version* may be sent
        again; 0 if no instance takes it now.

        While that version takes operations, its own time counts; else the shorter of that and the
        longest of those that do.
        """
        first = self.said(version)
        if first is not None and self.has(version):
            return _repeatable_s(first)
        now = [each.client.known for each in self.links.values() if self._takes(each)]
        longest_s = max((_repeatable_s(each) for each in now if each is not None), default=0.0)
        return longest_s if first is None else min(longest_s, _repeatable_s(first))

    def request_max_s(self, version: str) -> float:
        """Returns for how many seconds a request may be under way at the provider: the longest
        of *version* and of what runs, as far as is known.
        """
        known = (self._known, self.said(version))
        return max((each.request_max_s for each in known if each is not None), default=0.0)

    def awaits(self, version: str) -> bool:
        """Whether an operation sent to *version* should wait for it: no instance of it takes
        operations now, one may come back, and it is not barred.
        """
        if version in self.situation.barred or self.has(version):
            return False
        return choosing.may_return(self.situation.plan, version)

    def has(self, version: str) -> bool:
        """Whether an instance of a version takes operations."""
        return any(each.version == version and self._takes(each) for each in self.links.values())

    def _repeating(self, version: str, age_s: float) -> Fits:
        """Returns which instances may be sent again an operation that *version* was sent and that
        was made *age_s* ago: those of that version while there are any. Never one that has
        forgotten its id by then: that would do it twice.
        """
        only = version if self.has(version) else ""

        def may(each: link.Link) -> bool:
            known = each.client.known
            return only in ("", each.version) and known is not None and age_s < _repeatable_s(known)

        return may

    def _takes(self, each: link.Link) -> bool:
        return each.ready and not each.draining and each.version not in self.situation.barred

    def _answers(self, each: link.Link) -> bool:
        # What breaks the contract is not believed in look-ups either.
        return each.ready and each.version not in self.situation.barred

    def _problem(self, each: link.Link) -> str:
        if why := self.situation.barred.get(each.version, ""):
            return f"version {each.version}: {why}"
        if not each.ready:
            return each.detail or "not connected"
        return "it is draining" if each.draining else ""

    def _all_barred(self) -> bool:
        barred = self.situation.barred
        return bool(barred and self.links) and all(
            each.version in barred for each in self.links.values()
        )

    def _offered(self, usable: Iterable[link.Link]) -> introduction.Known | None:
        """Until promotion an upgrade offers only what both versions do."""
        plan = self.situation.plan
        stated = {each.version: each.client.known for each in usable if each.client.known}
        planned = [stated[v] for v in (plan.current, plan.canary) if v and v in stated]
        all_known = [known for known in planned or stated.values() if known is not None]
        if not all_known:
            return self.situation.known
        first, *others = all_known
        capabilities, currencies = first.capabilities, first.currencies
        for other in others:
            capabilities &= other.capabilities
            if currencies and other.currencies:
                currencies &= other.currencies
            else:
                currencies = currencies or other.currencies
        return replace(
            first,
            capabilities=capabilities,
            currencies=currencies,
            remembers_s=min(known.remembers_s for known in all_known),
            request_max_s=max(known.request_max_s for known in stated.values()),
        )


def _repeatable_s(known: introduction.Known) -> float:
    remembers = _CAP.CAPABILITY_UPSTREAM_IDEMPOTENCY in known.capabilities
    return SHARE * known.remembers_s if remembers else 0.0
