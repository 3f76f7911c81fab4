"""Secrets at rest and on the way out: who can read them, and what never shows."""

import asyncio
import pathlib

import pydantic
import pytest

from payment_service import composition, settings
from payment_service.usecases.bindings import sealing, secrets
from servicekit import encryption_keys, errors
from servicekit import settings as kit_settings

CANARY = b"sk_test_canary_4711"


def secret(slot: str, version: int = 1, value: bytes = CANARY, **over: int) -> secrets.Secret:
    """Returns a secret."""
    return secrets.Secret(slot=slot, version=version, value=value, **over)


def test_what_is_sealed_is_opened_and_shows_nothing() -> None:
    """Also where somebody prints the objects that carry it."""
    vault = secrets.Vault([encryption_keys.new_key()])
    held = (secret("api_key", created_us=5, expire_us=9), secret("webhook", 2, bytes(range(256))))
    sealed = vault.seal("b-1", held)
    assert vault.open("b-1", sealed) == held
    for text in (sealed, repr(held).encode(), repr(secrets.Given(slot="a", value=CANARY)).encode()):
        assert CANARY not in text
    assert vault.seal("b-1", ()) == b""
    assert vault.open("b-1", b"") == ()


def test_a_ciphertext_opens_for_its_binding_only() -> None:
    """One that somebody copied to another tenant's row is not sent anywhere."""
    vault = secrets.Vault([encryption_keys.new_key()])
    sealed = vault.seal("b-1", (secret("api_key"),))
    with pytest.raises(secrets.SecretsUnreadable) as caught:
        vault.open("b-2", sealed)
    assert "b-2" in str(caught.value)
    assert caught.value.__cause__ is None


def test_old_keys_read_and_the_newest_writes() -> None:
    """Rotation: both, then everything anew, then the newest alone."""
    old, new = encryption_keys.new_key(), encryption_keys.new_key()
    sealed = secrets.Vault([old]).seal("b", (secret("api_key"),))
    both = secrets.Vault([new, old])
    assert both.open("b", sealed)[0].value == CANARY
    renewed = both.renewed(sealed)
    assert renewed is not None
    assert both.renewed(renewed) is None
    assert secrets.Vault([new]).open("b", renewed)[0].value == CANARY
    with pytest.raises(secrets.SecretsUnreadable):
        secrets.Vault([new]).open("b", sealed)


def test_no_key_at_all_is_a_problem_with_a_way_out(tmp_path: pathlib.Path) -> None:
    """As is a file that can't be read."""
    with pytest.raises(encryption_keys.KeyProblem, match="required with PostgreSQL"):
        secrets.find_keys(None, None)
    with pytest.raises(encryption_keys.KeyProblem, match="can't read or make"):
        secrets.find_keys(None, tmp_path)


def test_a_rotated_secret_stays_beside_the_new_one_while_it_is_good() -> None:
    """The new one is the highest version; nothing else changes."""
    held = (secret("api_key", 3), secret("webhook", 1, b"hook"))
    given = [secrets.Given(slot="api_key", value=b"fresh", previous_expire_us=200)]
    merged = secrets.merge(held, given, (), now_us=100)
    assert [(s.slot, s.version, s.value, s.expire_us) for s in merged] == [
        ("api_key", 3, CANARY, 200),
        ("api_key", 4, b"fresh", 0),
        ("webhook", 1, b"hook", 0),
    ]
    assert secrets.in_force(merged, 199) == merged
    assert [s.version for s in secrets.in_force(merged, 200)] == [4, 1]
    again = secrets.merge(merged, [secrets.Given(slot="api_key", value=b"3rd")], (), now_us=150)
    assert [(s.slot, s.version) for s in again] == [("api_key", 5), ("webhook", 1)]
    assert secrets.merge(merged, [], {"api_key"}, now_us=150) == (held[1],)
    assert secrets.changed_slots(held, merged) == ["api_key"]
    assert not secrets.same(held, merged)


def test_exports_open_with_their_passphrase_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong one, another binding and damage are refused alike."""
    assert sealing._COST >= 15, "guessing a passphrase is to take long; here it need not"
    monkeypatch.setattr(sealing, "_COST", 4)

    async def story() -> None:
        held = (secret("api_key"),)
        sealed = (await sealing.sealer("correct horse battery")).seal("b", held)
        assert CANARY not in sealed
        assert await sealing.Opener("correct horse battery").open("b", sealed) == held
        assert await sealing.Opener("anything").open("b", b"") == ()
        broken = sealed[:-1] + bytes([sealed[-1] ^ 1])
        for passphrase, binding, text in (
            ("wrong horse battery", "b", sealed),
            ("correct horse battery", "c", sealed),
            ("correct horse battery", "b", broken),
            ("correct horse battery", "b", b"garbage"),
            ("correct horse battery", "b", sealed[:4] + b"\xff" + sealed[5:]),
        ):
            with pytest.raises(errors.RpcError) as caught:
                await sealing.Opener(passphrase).open(binding, text)
            assert caught.value.reason == "SEAL_INVALID"

    asyncio.run(story())


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("PROVIDER_SECRETS", "canary{"),
        ("PROVIDER_SECRETS", '{"mock": "canary"}'),
        ("PROVIDER_SECRETS", '{"mock": {"api_key": ["canary"]}}'),
        ("PROVIDER_SECRETS", '{"nobody": {"api_key": "canary"}}'),
        ("BACKUP_PASSPHRASE", "canary"),
    ],
)
def test_secrets_in_settings_are_checked_and_never_shown(variable: str, text: str) -> None:
    """Not JSON, of another form, of nobody, too short."""
    made, problems = kit_settings.check(settings.Settings, {f"PAYMENT_SERVICE_{variable}": text})
    assert made is None
    assert variable.lower() in problems[0]
    assert "canary" not in problems[0]


def test_keys_come_from_setting_or_file_as_the_database_asks(tmp_path: pathlib.Path) -> None:
    """The embedded default makes its own key; with PostgreSQL somebody has to give one."""
    embedded = settings.Settings(encryption_key_path=tmp_path / "encryption.key")
    assert composition.vault(embedded).open("b", b"") == ()
    url = pydantic.SecretStr("postgresql://127.0.0.1/x")
    with pytest.raises(encryption_keys.KeyProblem, match="required with PostgreSQL"):
        composition.vault(settings.Settings(database_url=url))
    given = settings.Settings(
        database_url=url, encryption_keys=pydantic.SecretStr(encryption_keys.new_key())
    )
    sealed = composition.vault(given).seal("b", (secret("api_key"),))
    assert composition.vault(given).open("b", sealed)[0].value == CANARY
