"""Where checks run: an address, or processes the suite starts.

Owns the provider processes, the upstream double and their folders, each started
when the first check wants it. Called by `runner`. Never stops what it did not
start.
"""

import contextlib
import enum
import importlib
import pathlib
import tempfile
from collections.abc import AsyncIterator

from provider_sdk.conformance import breaches, channels, checks, process, refusal
from provider_sdk.conformance import canaries as canaries_module
from provider_sdk.conformance import core as cores
from provider_sdk.conformance import profile as profiles
from provider_sdk.conformance import run as runs
from provider_sdk.conformance import upstream as upstreams
from servicekit import tls

CONNECT_TIMEOUT_S = 3.0
# What a process has to lose at its end is the suite's own.
END_TIMEOUT_S = 2.0


class Kind(enum.Enum):
    """Kinds of place."""

    PLAIN = "plain"
    PROCESS = "process"
    UPSTREAM = "upstream"


def kind_of(check: checks.Check, profile: profiles.Profile, *, endpoint: str) -> Kind:
    """Returns where *check* runs."""
    if check.needs_upstream or (check.prefers_upstream and profile.upstream is not None):
        return Kind.UPSTREAM
    return Kind.PROCESS if check.needs_process or not endpoint else Kind.PLAIN


class Sites:
    """Every place of one run of the suite.

    Args:
        profile: What the suite was told.
        endpoint: `host:port` of a running provider; empty to start one.
        seed: Of every random choice.
        options: What is done beyond the ordinary.
    """

    def __init__(
        self, profile: profiles.Profile, *, endpoint: str, seed: int, options: runs.Options
    ) -> None:
        self.canaries = canaries_module.Canaries()
        self._breaches = breaches.Breaches()
        self._profile = profile
        self._endpoint = endpoint
        self._seed = seed
        self._options = options
        self._stack = contextlib.AsyncExitStack()
        self._folder: pathlib.Path | None = None
        self._runs: dict[Kind, runs.Run] = {}
        self._broken: dict[Kind, Exception] = {}
        self._started = 0

    async def close(self) -> None:
        """Ends every process and connection."""
        await self._stack.aclose()

    @property
    def processes(self) -> list[runs.Run]:
        """Runs of processes the suite started and has not ended."""
        return [run for run in self._runs.values() if run.process is not None]

    async def get(self, kind: Kind) -> runs.Run:
        """Returns the run of a place, and starts it the first time.

        Raises:
            NotProven: This run of the suite can't have it.
            CannotStart, NotServing, Refused: It should work, and does not.
        """
        if kind in self._broken:
            raise self._broken[kind]
        run = self._runs.get(kind)
        if run is None:
            try:
                run = self._runs[kind] = await self._make(kind)
            except (
                checks.NotProven,
                process.CannotStart,
                channels.NotServing,
                refusal.Refused,
            ) as failure:
                self._broken[kind] = failure
                raise
        return run

    async def heal(self, run: runs.Run) -> str:
        """Starts a process again that ended under a check; says how it ended, or nothing."""
        if run.process is None or run.process.is_running:
            return ""
        explained = run.process.explain()
        await run.restart()
        return explained

    async def _make(self, kind: Kind) -> runs.Run:
        if kind is Kind.PLAIN:
            return await self._connect()
        if kind is Kind.UPSTREAM:
            return await self._at_upstream()
        if self._profile.command is None:
            raise checks.NotProven("the profile has no `command`; add one that starts the provider")
        double = await self._double(self._profile) if self._profile.always_asks_upstream else None
        run = await self._stack.enter_async_context(self._process(self._profile, upstream=double))
        await self._same(run)
        return run

    async def _connect(self) -> runs.Run:
        dialer = tls.dialer(self._options.tls_files)
        await channels.reachable(self._endpoint, timeout_s=CONNECT_TIMEOUT_S, dialer=dialer)
        secrets = profiles.values(self._profile.secrets, self.canaries)
        run = runs.Run(
            target=self._endpoint,
            profile=self._profile,
            seed=self._seed,
            canaries=self.canaries,
            secrets=secrets,
            options=self._options,
        )
        run.breaches = self._breaches
        self._stack.push_async_callback(run.close)
        await run.open()
        return run

    async def _at_upstream(self) -> runs.Run:
        if self._profile.upstream is None:
            raise checks.NotProven(
                "the provider can't be pointed at the upstream double; add `upstream` to the "
                "profile"
            )
        profile = self._profile.at_upstream()
        double = await self._double(profile)
        run = await self._stack.enter_async_context(self._process(profile, upstream=double))
        await self._same(run)
        return run

    async def _double(self, profile: profiles.Profile) -> upstreams.Upstream:
        """Starts an upstream double that knows the profile's instruments."""
        double = _double_class(profile)(instruments=profile.instruments)
        await double.start()
        self._stack.push_async_callback(double.close)
        return double

    async def _same(self, run: runs.Run) -> None:
        """Holds a started process to the identity of the endpoint that is judged."""
        if not self._endpoint:
            return
        judged = (await self.get(Kind.PLAIN)).handshake
        mine = run.handshake
        for name, ours, theirs in (
            ("plugin_id", mine.identity.plugin_id, judged.identity.plugin_id),
            ("plugin_version", mine.identity.plugin_version, judged.identity.plugin_version),
            ("schema_digest", mine.schema_digest, judged.schema_digest),
        ):
            if ours != theirs:
                raise checks.NotProven(
                    f"`command` starts another provider than the endpoint's: {name} is "
                    f"{ours[:80]!r} instead of {theirs[:80]!r}; make them the same"
                )

    @contextlib.asynccontextmanager
    async def _process(
        self,
        profile: profiles.Profile,
        *,
        upstream: upstreams.Upstream | None,
        core: cores.Core | None = None,
        previous: bool = False,
        wait: bool = True,
    ) -> AsyncIterator[runs.Run]:
        """Starts a process and yields its run; ends it afterwards."""
        run = self._new_run(profile, upstream=upstream, core=core, previous=previous)
        assert run.process is not None
        started = run.process
        try:
            await started.start()
            if wait:
                timeout_s = profile.start_timeout_s
                await channels.serving(started, timeout_s=timeout_s, dialer=run.dialer)
                await run.open()
            else:
                await run.reconnect()
            yield run
        finally:
            await run.close()
            if started.is_running:
                started.terminate()
                await started.ended(END_TIMEOUT_S)
            await started.kill()
            self._search_log(started)

    def _new_run(
        self,
        profile: profiles.Profile,
        *,
        upstream: upstreams.Upstream | None,
        core: cores.Core | None,
        previous: bool,
    ) -> runs.Run:
        """Returns the run of a process that is not started yet."""
        self._started += 1
        places = process.places(
            self._root() / f"{self._started:03d}",
            upstream_url=upstream.url if upstream is not None else "",
            core_endpoint=core.target if core is not None else "",
            core_key=core.key if core is not None else "",
        )

        @contextlib.asynccontextmanager
        async def spare(
            *, previous: bool, core: cores.Core | None, wait: bool
        ) -> AsyncIterator[runs.Run]:
            other = profile.before() if previous else profile
            other = other.registering() if core is not None else other
            async with self._process(
                other, upstream=upstream, core=core, previous=previous, wait=wait
            ) as run:
                yield run

        filled = {
            "config": places.fill(profile.config),
            "metrics_url": places.fill(profile.metrics_url),
        }
        hidden = profiles.secret_variables(self._profile)
        run = runs.Run(
            target=f"127.0.0.1:{places.port}",
            profile=profile.model_copy(update=filled),
            seed=self._seed,
            canaries=self.canaries,
            process=process.Process(profile, places, hidden=hidden),
            upstream=upstream,
            spare=spare,
            siblings=lambda: self.processes,
            secrets=profiles.values(profile.secrets, self.canaries),
            options=self._options,
        )
        if not previous:
            # What the version before answers is no matter of this one.
            run.breaches = self._breaches
        return run

    def _search_log(self, ended: process.Process) -> None:
        log = canaries_module.Where.LOG
        for line in ended.log_lines():
            self.canaries.inspect(line, place="a log line", where=log)

    def _root(self) -> pathlib.Path:
        if self._folder is None:
            folder = tempfile.TemporaryDirectory(
                prefix="payhub-conform-", ignore_cleanup_errors=True
            )
            self._folder = pathlib.Path(self._stack.enter_context(folder))
        return self._folder


def _double_class(profile: profiles.Profile) -> type[upstreams.Upstream]:
    """Returns the class of the profile's double.

    Raises:
        profiles.ProfileInvalid: There is no such class.
    """
    named = profile.upstream.double if profile.upstream is not None else ""
    if not named:
        return upstreams.Upstream
    module, _, name = named.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        problem = f"upstream.double: {named} can't be imported: {error}"
        raise profiles.ProfileInvalid([problem]) from error
    if not (isinstance(found, type) and issubclass(found, upstreams.Upstream)):
        raise profiles.ProfileInvalid([f"upstream.double: {named} is no subclass of Upstream"])
    return found
