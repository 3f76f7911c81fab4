"""Settings, currencies, time and the command line of the simulated provider."""

import pathlib
import socket

import iso4217
import pydantic
import pytest

from provider_mock import __main__ as main
from provider_mock import clock, currencies, oracle, settings
from provider_mock import provider as mock_provider
from provider_sdk import provider
from servicekit import settings as kit_settings
from tests import fake_clock

# Funds codes: units of account that nobody is paid in.
FUNDS = {"BOV", "CHE", "CHW", "CLF", "COU", "MXV", "USN", "UYI", "UYW", "XAD"}


def test_an_operator_reads_what_the_simulated_provider_is() -> None:
    """It tells its name, its author and that it moves no money, as every plugin should."""
    told = mock_provider.MockProvider
    assert (told.name, told.author) == ("Simulated provider", "Payhub")
    assert "no money" in told.description


def test_every_problem_of_the_environment_is_listed_at_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A wrong scenario, a wrong number and an unknown name are three lines, exit status 2."""
    env = {
        "PROVIDER_MOCK_FORCE": "nonsense",
        "PROVIDER_MOCK_LATENCY_MS": "-1",
        "PROVIDER_MOCK_LEDGERS": "x",
    }
    with pytest.raises(SystemExit) as stopped:
        kit_settings.load(settings.MockSettings, env)
    assert stopped.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert {line.partition(":")[0] for line in lines} == set(env)


def test_the_list_of_currencies_is_iso_4217_in_circulation() -> None:
    """Every code with an exponent but funds codes; metals and test codes have none."""
    known = {c.code for c in iso4217.Currency if c.exponent is not None}
    assert known - FUNDS == currencies.CODES


def test_the_providers_clock_only_moves_forward() -> None:
    """It is ahead of the machine's by what was asked for."""
    base = fake_clock.FakeClock()
    time = clock.MockClock(base, offset_s=5)
    for offset_us in (7_500_000, 0):
        time.reach(offset_us)
        assert time.now_us() - base.now_us() == 7_500_000


def test_a_ledger_that_is_not_there_is_said_plainly(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2, and a file that is no ledger is told apart from an empty one."""
    path = tmp_path / "none.db"
    assert main.show(path, as_json=True, operations=False) == 2
    assert "no ledger" in capsys.readouterr().err
    path.write_text("not a database, but long enough to be looked at" * 10)
    with pytest.raises(oracle.LedgerMissing):
        oracle.read(path)


def test_a_plugin_id_outside_of_the_contract_fails_where_it_is_written() -> None:
    """The class statement itself is refused."""

    class Config(pydantic.BaseModel):
        """Nothing."""

    with pytest.raises(ValueError, match="plugin_id"):
        type("Bad", (provider.Provider,), {"plugin_id": "Bad Id", "config_model": Config})


def test_a_secret_does_not_show_itself() -> None:
    """Neither repr nor str of a secret or of what holds it shows the value."""
    secret = provider.Secret(b"hush", version=3)

    class Config(pydantic.BaseModel):
        """Nothing."""

    binding = provider.Binding(
        binding_id="b", generation=1, config=Config(), secrets={"key": [secret]}
    )
    assert "hush" not in f"{secret!r} {secret} {binding!r}"
    assert secret.reveal() == b"hush"


@pytest.mark.parametrize(
    "text",
    [
        "localhost:80",
        "ftp://x",
        "http://",
        "http://x:99999",
        "http://x:y",
        "http://u@x",
        "http://x?q",
    ],
)
def test_an_upstream_that_is_no_url_is_refused(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The variable is named before anything is started."""
    with pytest.raises(SystemExit):
        kit_settings.load(settings.MockSettings, {"PROVIDER_MOCK_UPSTREAM_URL": text})
    assert "PROVIDER_MOCK_UPSTREAM_URL: " in capsys.readouterr().err


def test_the_version_can_be_another_for_a_rehearsal() -> None:
    """A handshake says what the variable says; what is no version is refused."""
    config = kit_settings.load(settings.MockSettings, {"PROVIDER_MOCK_VERSION": "9.1.0-rc.1"})
    time = clock.MockClock(fake_clock.FakeClock())
    assert mock_provider.MockProvider(config, time=time).plugin_version == "9.1.0-rc.1"
    assert mock_provider.MockProvider(settings.MockSettings(), time=time).plugin_version
    with pytest.raises(SystemExit):
        kit_settings.load(settings.MockSettings, {"PROVIDER_MOCK_VERSION": "newest"})


def test_a_receiver_of_webhooks_may_be_down_for_days() -> None:
    """As long as providers try; a dispute or a refund made elsewhere is told nowhere else."""
    assert sum(settings.seconds(settings.MockSettings().webhook_retry_s)) >= 3 * 86_400


def test_addresses_of_ipv6_are_addresses() -> None:
    """Payers are redirected to a URL, and a free port is looked for where it will listen."""
    time = clock.MockClock(fake_clock.FakeClock())
    config = settings.MockSettings(host="::1", http_port=8082)
    assert mock_provider.MockProvider(config, time=time).base_url == "http://[::1]:8082"
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("the machine has no IPv6")
    assert main._free_port("::1")


def test_a_ledger_that_cannot_be_opened_is_told_in_one_line(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The mock ends with status 1 and names the file; it is no crash."""
    (tmp_path / "var").write_text("")
    monkeypatch.setenv("PROVIDER_MOCK_LEDGER", f"{tmp_path}/var/ledger.db")
    monkeypatch.setenv("PROVIDER_MOCK_GRPC_PORT", "0")
    monkeypatch.setenv("PROVIDER_MOCK_HTTP_PORT", "0")
    assert main.main([]) == 1
    assert f"can't open {tmp_path}/var/ledger.db" in capsys.readouterr().err
