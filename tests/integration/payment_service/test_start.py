"""How the process starts, and how it refuses to."""

import contextlib
import json
import pathlib
import sqlite3
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import psycopg

from deploy import stack
from payment_service import composition
from servicekit import auth, encryption_keys, storage
from servicekit.storage import file_lock
from tests.integration.payment_service import process


def test_every_wrong_setting_is_named_at_once(tmp_path: pathlib.Path) -> None:
    """Exit status 2 with a line per problem, and no secret in any of them."""
    env = {
        "PAYMENT_SERVICE_GRPC_PORT": "70000",
        "PAYMENT_SERVICE_LOG_LEVEL": "loud",
        "PAYMENT_SERVICE_PROVIDERS": '{"Mock!": "nowhere"}',
        "PAYMENT_SERVICE_PROVIDER_CONFIG": "{not json",
        "PAYMENT_SERVICE_PROVIDER_TIMEOUT_S": "-1",
        "PAYMENT_SERVICE_RESOLVER_IDLE_S": "soon",
        "PAYMENT_SERVICE_DATABASE_URL_FILE": str(tmp_path / "missing"),
        "PAYMENT_SERVICE_DATABSE_POOL_SIZE": "4",
        "PAYMENT_SERVICE_BOOTSTRAP_KEY": "phk_canary",
    }
    ended = process.run(env)
    assert ended.returncode == 2
    assert ended.stdout == ""
    lines = ended.stderr.strip().splitlines()
    for variable in env:
        assert any(line.startswith(f"{variable}") for line in lines), variable
    unknown = next(line for line in lines if line.startswith("PAYMENT_SERVICE_DATABSE_POOL_SIZE"))
    assert "did you mean PAYMENT_SERVICE_DATABASE_POOL_SIZE?" in unknown
    assert "canary" not in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_key_that_cannot_be_made_valid_ends_the_start(tmp_path: pathlib.Path) -> None:
    """One line that says which and why: of the environment, or in a file that is kept."""
    key_id, first = auth.new_key()
    second = f"phk_{key_id}_{auth.new_key()[1][-43:]}"
    dev, none = tmp_path / "dev.key", tmp_path / "none"
    none.mkdir()
    env = {
        "PAYMENT_SERVICE_DATABASE_URL": f"sqlite:///{tmp_path}/own.db",
        "PAYMENT_SERVICE_ENCRYPTION_KEY_PATH": str(tmp_path / "encryption.key"),
        "PAYMENT_SERVICE_RELAY_KEY": first,
        "PAYMENT_SERVICE_PLUGIN_KEY_PATH": str(tmp_path / "plugin.key"),
        "PAYMENT_SERVICE_DEV_KEY_PATH": str(dev),
        "PAYMENT_SERVICE_GRPC_PORT": "0",
        "PAYMENT_SERVICE_HTTP_PORT": "0",
    }
    dev.write_text("phk_canary\n")
    for changed, named in (
        ({}, f"{dev}: not an API key"),
        ({"PAYMENT_SERVICE_DEV_KEY_PATH": str(none)}, f"{none}: can't read or make it"),
        ({"PAYMENT_SERVICE_BOOTSTRAP_KEY": first}, f"bootstrap: the key {key_id} is"),
        ({"PAYMENT_SERVICE_RELAY_KEY": f"{second}\r\n"}, f"relay: the key {key_id} has another"),
    ):
        ended = process.run({**env, **changed})
        assert (ended.returncode, ended.stdout) == (2, "")
        lines = ended.stderr.strip().splitlines()
        (said,) = [line for line in lines if not line.startswith("{")]
        assert said.startswith(named)
        assert {json.loads(line)["level"] for line in lines if line != said} <= {"info"}
        assert "canary" not in ended.stderr
        assert second[-43:] not in ended.stderr


def test_settings_must_fit_each_other() -> None:
    """A default provider, and configuration, must be of a provider that is set up."""
    ended = process.run({"PAYMENT_SERVICE_DEFAULT_PROVIDER": "stripe"})
    assert ended.returncode == 2
    assert "'stripe' is not among providers (mock)" in ended.stderr


def test_the_first_key_is_made_directly_in_the_database(tmp_path: pathlib.Path) -> None:
    """`migrate` makes the schema and says which, `create-key` prints a secret and nothing else."""
    env = {"PAYMENT_SERVICE_DATABASE_URL": f"sqlite:///{tmp_path}/own.db"}
    migrated = process.run(env, "migrate")
    assert migrated.returncode == 0
    assert (
        migrated.stdout
        == f"the database is at revision {storage.head_revision(composition.MIGRATIONS)}\n"
    )
    arguments = ("create-key", "--tenant", "acme", "--scope", "admin", "--name", "first")
    made = process.run(env, *arguments)
    assert made.returncode == 0
    assert made.stdout.startswith("phk_")
    assert len(made.stdout.strip().splitlines()) == 1


def test_who_has_no_database_wants_no_traffic(
    new_postgres_database: Callable[[], str], postgres_url: str, tmp_path: pathlib.Path
) -> None:
    """A replica that lost its database says that it is not ready, and that it is again."""
    url = new_postgres_database()
    env = {
        "PAYMENT_SERVICE_DATABASE_URL": url,
        "PAYMENT_SERVICE_AUTO_MIGRATE": "true",
        "PAYMENT_SERVICE_ENCRYPTION_KEYS": encryption_keys.new_key(),
        "PAYMENT_SERVICE_RELAY_ENABLED": "false",
        "PAYMENT_SERVICE_GATEWAY_WAIT_S": "0",
    }
    processes = stack.Stack(
        tmp_path / "var", ports=stack.free_ports(), env=env, names=(stack.PAYMENTS,)
    )
    processes.start()
    name = url.partition("?")[0].rpartition("/")[2]
    try:
        with psycopg.connect(postgres_url, autocommit=True) as admin:
            assert ready(processes, 200) == {"status": "ready"}
            admin.execute(f'alter database "{name}" allow_connections false')
            admin.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [name]
            )
            assert ready(processes, 503) == {"status": "not ready", "failing": ["database"]}
            admin.execute(f'alter database "{name}" allow_connections true')
            ready(processes, 200)
    finally:
        processes.stop()


def ready(processes: stack.Stack, wanted: int) -> Any:
    """Returns what /readyz says once its status is the wanted one."""
    deadline_s = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(f"{processes.http_url(stack.PAYMENTS)}/readyz") as found:
                status, text = found.status, found.read()
        except urllib.error.HTTPError as refused:
            with refused:
                status, text = refused.code, refused.read()
        if status == wanted:
            return json.loads(text)
        assert time.monotonic() < deadline_s, text
        time.sleep(0.05)


def test_a_database_that_cannot_be_used_is_one_line(tmp_path: pathlib.Path) -> None:
    """One in use, one of a newer version: exit status 1, what is wrong and a way out."""
    path = tmp_path / "own.db"
    env = {"PAYMENT_SERVICE_DATABASE_URL": f"sqlite:///{path}"}
    assert process.run(env, "migrate").returncode == 0
    lock = file_lock.lock_file(str(path))
    used = process.run(env, "migrate")
    lock.close()
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("update alembic_version set version_num = '9999'")
    newer = process.run(env, "migrate")
    for ended, text in ((used, "stop that one first"), (newer, "a newer one has migrated it")):
        assert ended.returncode == 1
        (line,) = ended.stderr.strip().splitlines()
        assert text in json.loads(line)["problem"]
