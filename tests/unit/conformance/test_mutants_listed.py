"""No check goes without something that proves it."""

from provider_sdk.conformance import catalog as checks_catalog
from tests.mutants import __main__ as command
from tests.mutants import catalog, runner


def test_every_check_has_a_mutant() -> None:
    """A check nobody has seen fail may never fail."""
    assert command.without_mutant() == []


def test_mutants_name_checks_that_exist() -> None:
    """A mutant of a check that was renamed would prove nothing."""
    known = {check.check_id for check in checks_catalog.everything() if check.function is not None}
    for mutant in catalog.everything().values():
        assert set(mutant.checks) <= known, mutant.name
        assert set(runner.control_of(mutant)) <= known - set(mutant.checks), mutant.name
