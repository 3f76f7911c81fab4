"""Encryption keys: of settings: checked, listed with what else is wrong, never shown."""

import pytest

from event_gateway import settings as gateway_settings
from payment_service import settings as payment_settings
from servicekit import encryption_keys, settings

WRONG = [
    (",", "holds no key"),
    ("short", "key 1 of 1 is not 32 bytes"),
    (f"{encryption_keys.new_key()} {'canary' * 9}", "key 2 of 2"),
    ("\n".join([encryption_keys.new_key()] * 17), "holds 17 keys"),
]


# Keys are made anew by each process, and tests must have the same names in all of them.
@pytest.mark.parametrize(("text", "problem"), WRONG, ids=[problem for _, problem in WRONG])
@pytest.mark.parametrize("cls", [gateway_settings.Settings, payment_settings.Settings])
def test_malformed_keys_are_listed_by_number_with_all_other_problems(
    cls: type[settings.ServiceSettings], text: str, problem: str
) -> None:
    """With the way to make one, and never themselves."""
    prefix = cls.model_config["env_prefix"]
    env = {f"{prefix}ENCRYPTION_KEYS": text, f"{prefix}GRPC_PORT": "none"}
    made, problems = settings.check(cls, env)
    assert made is None
    (told,) = [one for one in problems if one.startswith(f"{prefix}ENCRYPTION_KEYS: ")]
    assert len(problems) == 2
    assert problem in told
    assert "new-encryption-key" in told or "at most" in told
    assert "canary" not in told


def test_keys_of_a_setting_are_separated_by_commas_blanks_or_lines() -> None:
    """The newest first, as they stand."""
    assert encryption_keys.parse(" a, b\nc") == ["a", "b", "c"]
    keys = [encryption_keys.new_key() for _ in range(3)]
    env = {"EVENT_GATEWAY_ENCRYPTION_KEYS": f"{keys[0]}, {keys[1]}\n{keys[2]}"}
    made = settings.load(gateway_settings.Settings, env)
    assert made.encryption_keys is not None
    assert encryption_keys.parse(made.encryption_keys.get_secret_value()) == keys
