"""Configurations of the advanced example from before its schema had version 2."""

import pytest

from examples.advanced_provider import config


def test_what_version_1_had_is_valid_in_version_2() -> None:
    """The account becomes the merchant, its limit one in euros; a change of case is told."""
    made = config.migrate(1, {"account": "Shop-1", "limit": 5_000, "sandbox": False})
    assert made.config == {"merchant": "shop-1", "limits_minor": {"EUR": 5_000}}
    config.AcmeConfig.model_validate(made.config)
    [warning] = made.diagnostics
    assert (warning.json_pointer, warning.is_error) == ("/account", False)


@pytest.mark.parametrize(
    ("old", "pointers"),
    [
        ({"account": "a", "sandbox": True}, ["/sandbox"]),
        ({}, ["/account"]),
        ({"account": 7, "sandbox": True}, ["/sandbox", "/account"]),
    ],
)
def test_what_has_no_equivalent_is_refused(old: dict[str, object], pointers: list[str]) -> None:
    """Each with its place, and no half of a configuration."""
    made = config.migrate(1, old)
    assert made.config is None
    assert [one.json_pointer for one in made.diagnostics if one.is_error] == pointers


def test_a_configuration_of_now_stays_as_it_is() -> None:
    """Also where nobody knows the version it was made for."""
    for version in (0, 1, 2):
        assert config.migrate(version, {"merchant": "a"}).config == {"merchant": "a"}
