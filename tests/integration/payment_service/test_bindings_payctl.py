"""`payctl bindings` against a running service: for people, and as JSON for programs."""

import json
import pathlib
import stat
import urllib.error
import urllib.request
import uuid

import pytest
from typer import testing

from deploy import stack
from payctl import commands
from payment_service.domain import bindings
from tests import shells
from tests.integration.payment_service import conftest

CANARY = "sk_live_canary_7788"


class Shell(shells.Shell):
    """Notes what goes in and out of `payctl bindings …` as an administrator uses it.

    Args:
        service: Which one.
    """

    def __init__(self, service: conftest.Service) -> None:
        super().__init__(
            "bindings",
            PAYHUB_TARGET=service.target,
            PAYHUB_KEY=service.processes.dev_key(),
            CANARY=CANARY,
            PHRASE="correct horse battery",
        )
        self.said: list[str] = []

    def __call__(self, *arguments: str, code: int = 0, given: str = "") -> testing.Result:
        """Returns the result of a command that must exit with *code*."""
        result = super().__call__(*arguments, code=code, given=given)
        self.said += [result.stdout, result.stderr, *arguments]
        return result


@pytest.fixture
def shell(service: conftest.Service) -> Shell:
    """A shell."""
    return Shell(service)


@pytest.fixture
def tenant() -> str:
    """A tenant nobody else uses."""
    return f"t-{uuid.uuid4().hex[:12]}"


def test_the_address_of_webhooks_is_found_without_a_payment(
    service: conftest.Service, shell: Shell, tenant: str
) -> None:
    """Of a tenant's own binding, and of one that the shared binding serves; the same for both."""
    path = f"/webhooks/mock/{bindings.binding_id(tenant, 'mock')}"
    assert shell("address", f"{tenant}/mock").stdout.strip() == path
    found = shell.json("address", f"{tenant}/mock")
    assert found == {
        "binding_id": bindings.binding_id(tenant, "mock"),
        "served_by": "*",
        "webhook_path": path,
    }
    # It answers there once the tenant has a key: what is not signed is refused, not unknown.
    url = f"{service.processes.http_url(stack.PAYMENTS)}{path}"

    def status() -> int:
        request = urllib.request.Request(url, data=b"{}", method="POST")
        with pytest.raises(urllib.error.HTTPError) as answered:
            urllib.request.urlopen(request, timeout=10)
        with answered.value as answer:
            return answer.code

    assert status() == 404
    shell("create", tenant, "mock", "--reason", "a test")
    assert shell("address", f"{tenant}/mock").stdout.strip() == path
    assert shell.json("address", f"{tenant}/mock")["served_by"] == tenant
    assert path in shell("show", f"{tenant}/mock").stdout
    assert shell.json("show", f"{tenant}/mock")["webhook_path"] == path
    assert status() in (400, 401, 503)
    # The shared binding is nobody's address.
    assert "/webhooks/" not in shell("show", "*/mock").stdout
    assert shell.json("show", "*/mock")["webhook_path"] == ""
    assert "name the tenant" in shell("address", "*/mock", code=2).stderr
    assert "no binding" in shell("address", f"{tenant}/nobody", code=1).stderr


def test_a_binding_is_made_changed_compared_and_deleted(
    shell: Shell, tenant: str, tmp_path: pathlib.Path
) -> None:
    """By id or by tenant and plugin; secrets from file, environment and stdin, never shown."""
    why = ("--reason", "a test")
    where = f"{tenant}/mock"
    made = shell.json(
        "create", tenant, "mock", *why,
        "--config", '{"latency_ms": 1}',
        "--secret-env", "api_key=CANARY",
        "--limit", "EUR min=1.50 max=500 daily=10000",
        "--limit", "JPY max=900",
        "--zone", "Europe/Berlin",
        "--off", "refund",
        "--off", "manual-capture",
    )  # fmt: skip
    assert made["binding"]["options"] == {
        "limits": [
            {
                "currency_code": "EUR",
                "min_minor": "150",
                "max_minor": "50000",
                "daily_minor": "1000000",
            },
            {"currency_code": "JPY", "min_minor": "0", "max_minor": "900", "daily_minor": "0"},
        ],
        "time_zone": "Europe/Berlin",
        "disabled_operations": ["KIND_REFUND"],
        "disabled_capture_methods": ["CAPTURE_METHOD_MANUAL"],
        "disabled": False,
    }
    shown = shell("show", where).stdout
    for text in ("min 1.50 EUR, max 500.00 EUR, daily 10000.00 EUR", "max 900 JPY", "api_key v1"):
        assert text in shown
    assert '{\n  "latency_ms": 1\n}\n' in shown
    assert "refund, manual capture" in shown
    file = tmp_path / "secret"
    file.write_text(f"{CANARY}-2\n")
    config = tmp_path / "config.json"
    config.write_text('{"latency_ms": 2, "force": ""}')
    shell(
        "update", where, *why,
        "--config-file", str(config),
        "--secret-file", f"api_key={file}",
        "--keep-old-h", "24",
        "--limit", "JPY none",
        "--on", "refund",
        "--disabled",
    )  # fmt: skip
    assert "something to change" in shell("update", where, *why, code=2).stderr
    shell("update", made["binding"]["id"], *why, "--secret-file", "api_key=-", given=f"{CANARY}-3")
    versions = shell("versions", where).stdout
    assert "api_key v1, api_key v2" in versions
    assert "a test" in versions
    assert "disabled" in shell("list", "--tenant", tenant).stdout
    changes = shell.json("diff", where, "1", "2")["changes"]
    assert [each["json_pointer"] for each in changes] == [
        "/config/force",
        "/config/latency_ms",
        "/options/disabled",
        "/options/disabled_operations",
        "/options/limits/JPY",
        "/secrets/api_key",
    ]
    assert "(another secret)" in shell("diff", where, "2").stdout
    assert shell.json("rollback", where, "1", *why)["binding"]["generation"] == "4"
    stale = shell("delete", where, "--expect", "3", *why, code=1).stderr
    assert "generation 4" in stale
    gone_id = shell.json("show", where)["binding"]["id"]
    assert shell.json("delete", where, "--expect", "4", *why)["delete_time"]
    assert shell.json("delete", gone_id, *why)["delete_time"]
    gone = shell("show", where, code=1).stderr
    assert "has no binding of its own" in gone
    assert f"payctl bindings address {where}" in gone
    assert CANARY not in "".join(shell.said)


def test_what_is_wrong_is_told_where_it_is(shell: Shell, tenant: str) -> None:
    """`validate` stores nothing and exits with 1; `create` is refused with every pointer."""
    bad = '{"latency_ms": "soon", "force": "explode"}'
    checked = shell("validate", tenant, "mock", "--config", bad, code=1)
    assert "error: /latency_ms: must be of type number" in checked.stderr
    found = shell.json("validate", tenant, "mock", "--config", '{"force": "explode"}', code=1)
    assert found["diagnostics"][0]["json_pointer"] == "/force"
    assert "by schema and plugin" in shell("validate", tenant, "mock").stdout
    refused = shell("create", tenant, "mock", "--reason", "r", "--config", bad, code=1)
    assert "config_json/latency_ms" in refused.stderr
    assert not shell.json("list", "--tenant", tenant)["bindings"]
    schema = shell("schema", "mock").stdout
    assert "latency_ms" in schema
    assert "api_key" in schema
    assert shell.json("schema", "mock")["json_schema"]["additionalProperties"] is False


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("create", "t", "mock"), "--reason"),
        (("create", "t", "mock", "--reason", "r", "--config", "{"), "not JSON"),
        (("create", "t", "mock", "--reason", "r", "--config", "[]"), "JSON object"),
        (("create", "t", "mock", "--reason", "r", "--secret-env", "a=NOPE"), "NOPE is not set"),
        (("create", "t", "mock", "--reason", "r", "--secret-file", "a=/nope"), "can't be read"),
        (("create", "t", "mock", "--reason", "r", "--limit", "EUR most=3"), "min, max and daily"),
        (("create", "t", "mock", "--reason", "r", "--limit", "EUR max=3.999"), "2 decimals"),
        (("create", "t", "mock", "--reason", "r", "--limit", "a lot"), "is no limit"),
        (("create", "t", "mock", "--reason", "r", "--off", "dance"), "known are authorize"),
        (("default", "mock"), "--reason is needed"),
        (("export", "--with-secrets"), "needs --passphrase-file"),
        (("import", "/nope", "--reason", "r"), "can't be read"),
    ],
)
def test_wrong_usage_is_refused_before_anything_is_sent(
    arguments: tuple[str, ...], text: str
) -> None:
    """Exit code 2; nothing listens where this would have gone."""
    env = {"PAYHUB_TARGET": "127.0.0.1:1", "PAYHUB_KEY": "phk_x", "NO_COLOR": "1"}
    result = testing.CliRunner(env=env).invoke(commands.app, ["bindings", *arguments])
    assert result.exit_code == 2, result.output
    assert text in " ".join(result.stderr.replace("│", " ").split())


def test_bindings_move_through_a_file(shell: Shell, tenant: str, tmp_path: pathlib.Path) -> None:
    """Readable by its owner alone; secrets only if asked for, and sealed."""
    why = ("--reason", "a move")
    phrase = ("--passphrase-env", "PHRASE")
    shell("create", tenant, "mock", *why, "--secret-env", "api_key=CANARY")
    file = tmp_path / "bindings.json"
    shell("export", "--tenant", tenant, "--with-secrets", *phrase, "--out", str(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    plain = shell("export", "--tenant", tenant).stdout
    assert "sealed_secrets" not in plain
    assert "sealed_secrets" in file.read_text()
    shell("delete", f"{tenant}/mock", *why)
    rehearsed = shell("import", str(file), *why, *phrase, "--dry-run")
    assert "created" in rehearsed.stdout
    assert "nothing was stored" in rehearsed.stderr
    wrong = tmp_path / "phrase"
    wrong.write_text("wrong horse battery\n")
    failed = shell("import", str(file), *why, "--passphrase-file", str(wrong), code=1)
    assert "can't be opened" in failed.stderr
    imported = json.loads(shell("import", str(file), *why, *phrase, "--json").stdout)
    assert (imported["applied"], imported["results"][0]["outcome"]) == (True, "OUTCOME_CREATED")
    again = shell("import", "-", *why, given=plain)
    assert "unchanged" in again.stdout
    assert [s["slot"] for s in shell.json("show", f"{tenant}/mock")["binding"]["secrets"]] == [
        "api_key"
    ]
    shell("import", "-", *why, given='{"format": 9}', code=2)
    assert CANARY not in "".join([*shell.said, file.read_text()])


def test_the_default_provider_is_shown_and_set(shell: Shell, tenant: str) -> None:
    """Of the installation, and of a tenant."""
    assert shell.json("default")["plugin_id"] == "mock"
    assert "mock (of the installation)" in shell("default", "--tenant", tenant).stdout
    shell("default", "mock", "--tenant", tenant, "--reason", "r")
    assert "inherited" in shell.json("default", "--tenant", tenant)
    assert "(of the installation)" not in shell("default", "--tenant", tenant).stdout
    shell("default", "--unset", "--tenant", tenant, "--reason", "r")
    assert shell.json("default", "--tenant", tenant)["inherited"] is True
    assert int(shell.json("rotate-key", "--reason", "r")["current_count"]) >= 0
