"""The checks as pytest items: `pytest --payhub-profile provider.yaml`.

Owns the options and one item per check. Loaded by every pytest that has
this package installed, so it imports the suite only when a profile is given.
Never runs a check without one.
"""

from __future__ import annotations

import asyncio
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from provider_sdk.conformance import checks, results, runner
    from provider_sdk.conformance import profile as profiles
    from provider_sdk.conformance import run as runs

NODE = "payhub-conformance"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the options."""
    group = parser.getgroup("payhub", "conformance of a Payhub provider")
    group.addoption(
        "--payhub-profile", metavar="FILE", help="check the provider that this profile describes"
    )
    group.addoption(
        "--payhub-endpoint",
        metavar="HOST:PORT",
        default="",
        help="where it runs; without it the profile's command starts it",
    )
    group.addoption(
        "--payhub-only", metavar="IDS", default="", help="only these checks, for example 34,4b"
    )
    for name, text in (
        ("ca", "authorities that certify the provider: connects with TLS"),
        ("cert", "a certificate to show, where the provider asks for one"),
        ("cert-key", "its key"),
    ):
        group.addoption(f"--payhub-{name}", type=pathlib.Path, metavar="FILE", help=text)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Adds one item per check, in the order of the suite, whatever order others like."""
    path = config.getoption("payhub_profile")
    if path is None:
        if config.getoption("payhub_endpoint"):
            raise pytest.UsageError("--payhub-endpoint needs --payhub-profile FILE")
        return
    collector = Conformance.from_parent(session, name=NODE)
    collector.load()
    items += collector.collect()


class Conformance(pytest.Collector):
    """One run of the suite."""

    def __init__(self, **rest: Any) -> None:
        super().__init__(**rest)
        self._profile: profiles.Profile | None = None
        self._options: runs.Options | None = None
        self._loop: asyncio.Runner | None = None
        self._session: runner.Session | None = None

    def collect(self) -> Sequence[Item]:
        """Returns one item per check."""
        from provider_sdk.conformance import catalog

        parts = self.config.getoption("payhub_only").split(",")
        only = frozenset(part.strip() for part in parts if part.strip())
        if unknown := catalog.unknown(only):
            raise pytest.UsageError(f"--payhub-only: no check {', '.join(unknown)}")
        return [
            Item.from_parent(self, name=check.check_id, check=check)
            for check in catalog.select(only)
        ]

    def load(self) -> None:
        """Reads the profile, so that its problems end pytest before any test runs."""
        from provider_sdk.conformance import profile, run, trust

        option = self.config.getoption
        try:
            self._profile = profile.load(pathlib.Path(option("payhub_profile")))
        except profile.ProfileInvalid as failure:
            raise pytest.UsageError("\n".join(failure.problems)) from failure
        ca, cert, key = (option(f"payhub_{name}") for name in ("ca", "cert", "cert_key"))
        try:
            self._options = run.Options(tls_files=trust.files(ca=ca, cert=cert, key=key))
        except ValueError as failure:
            raise pytest.UsageError(str(failure)) from failure

    def setup(self) -> None:
        """Connects to the provider once for all items."""
        from provider_sdk.conformance import runner

        assert self._profile is not None
        endpoint = self.config.getoption("payhub_endpoint")
        session = runner.Session(self._profile, endpoint=endpoint, options=self._options)
        self._loop = asyncio.Runner()
        try:
            self._session = self._loop.run(session.__aenter__())
        except runner.CannotRun as failure:
            self._loop.close()
            pytest.exit(str(failure), returncode=pytest.ExitCode.USAGE_ERROR)

    def teardown(self) -> None:
        """Ends what the suite started."""
        if self._loop is not None and self._session is not None:
            self._loop.run(self._session.__aexit__(None, None, None))
            self._loop.close()

    def execute(self, check: checks.Check) -> results.Result:
        """Runs one check."""
        assert self._loop is not None
        assert self._session is not None
        return self._loop.run(self._session.execute(check))

    @property
    def seed(self) -> int:
        """Seed of every random choice."""
        return self._session.seed if self._session is not None else 0


class Broken(Exception):
    """A check failed; the text says how."""


class Item(pytest.Item):
    """One check."""

    def __init__(self, *, check: checks.Check, **rest: Any) -> None:
        super().__init__(**rest)
        self.check = check

    def runtest(self) -> None:
        """Runs the check; a SHOULD that fails is an expected failure."""
        from provider_sdk.conformance import reports, results

        assert isinstance(self.parent, Conformance)
        result = self.parent.execute(self.check)
        if result.outcome is results.Outcome.NOT_PROVEN:
            pytest.skip(f"not proven: {result.reason}")
        if result.outcome is results.Outcome.FAILED:
            text = f"{reports.explain(result)}\nseed: {self.parent.seed}"
            if not result.is_must:
                pytest.xfail(text)
            raise Broken(text)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Shows what was seen, the rule and what to do instead of a traceback."""
        if isinstance(excinfo.value, Broken):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[pathlib.Path, int | None, str]:
        """Names the check by its rule."""
        return self.path, None, f"{self.check.check_id}: {self.check.title}"
