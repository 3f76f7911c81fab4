"""Reading settings: every problem at once, typos included, secrets masked."""

from pathlib import Path

import pydantic
import pydantic_settings
import pytest

from event_gateway import settings as gateway_settings
from payment_service import settings as payment_settings
from servicekit import settings


class Settings(settings.ServiceSettings):
    """Settings of an imagined service."""

    model_config = pydantic_settings.SettingsConfigDict(env_prefix="IMAGINED_SERVICE_")

    grpc_port: settings.Port = 50_099
    database_url: str = "sqlite:///var/x.db"
    providers: dict[str, str] = pydantic.Field(default_factory=lambda: {"mock": "127.0.0.1:1"})
    password: pydantic.SecretStr = pydantic.SecretStr("")
    optional_password: pydantic.SecretStr | None = None
    timeout_s: float = pydantic.Field(default=20.0, gt=0, le=60)
    key_file: Path = Path("var/dev.key")


def problems(env: dict[str, str]) -> list[str]:
    """Return what is wrong with `env`."""
    loaded, found = settings.check(Settings, env)
    assert (loaded is None) == bool(found)
    return found


def test_an_empty_environment_gives_the_defaults() -> None:
    """Everything has a default that works."""
    loaded = settings.load(Settings, {})
    assert (loaded.host, loaded.grpc_port, loaded.log_level) == ("127.0.0.1", 50_099, "info")
    assert (loaded.drain_delay_s, loaded.drain_grace_s) == (0.0, 20.0)
    assert loaded.stop_longest_s == 60.0


def test_values_are_read_by_prefix_and_an_empty_one_counts_as_unset() -> None:
    """A compose file's `NAME=` is the same as no line."""
    env = {
        "IMAGINED_SERVICE_GRPC_PORT": "0",
        "IMAGINED_SERVICE_PROVIDERS": '{"a": "host:1"}',
        "IMAGINED_SERVICE_TIMEOUT_S": "",
        "IMAGINED_SERVICE_KEY_FILE": "elsewhere.key",
        "OTHER_GRPC_PORT": "nonsense",
    }
    loaded = settings.load(Settings, env)
    assert (loaded.grpc_port, loaded.providers, loaded.timeout_s) == (0, {"a": "host:1"}, 20.0)
    assert loaded.key_file == Path("elsewhere.key")


def test_blanks_and_line_ends_around_a_value_are_no_part_of_it() -> None:
    """A line of a file written elsewhere ends in more than one sees: another file, another key."""
    env = {
        "IMAGINED_SERVICE_DATABASE_URL": "sqlite:///var/x.db\r",
        "IMAGINED_SERVICE_PASSWORD": " secret\r\n",
        "IMAGINED_SERVICE_OPTIONAL_PASSWORD": " \n",
        "IMAGINED_SERVICE_KEY_FILE": "elsewhere.key\n",
    }
    loaded = settings.load(Settings, env)
    assert loaded.database_url == "sqlite:///var/x.db"
    assert (loaded.password.get_secret_value(), loaded.optional_password) == ("secret", None)
    assert loaded.key_file == Path("elsewhere.key")


def test_every_problem_is_printed_and_the_status_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody has to start five times to learn of five mistakes."""
    env = {
        "IMAGINED_SERVICE_GRPC_PORT": "70000",
        "IMAGINED_SERVICE_LOG_LEVEL": "loud",
        "IMAGINED_SERVICE_PROVIDERS": "{mock",
        "IMAGINED_SERVICE_TIMEOUT": "5",
        "IMAGINED_SERVICE_PASSWORD_FILE": "/does/not/exist",
    }
    with pytest.raises(SystemExit) as stopped:
        settings.load(Settings, env)
    assert stopped.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert sorted(line.partition(":")[0] for line in lines) == sorted(env)
    assert any("did you mean IMAGINED_SERVICE_TIMEOUT_S?" in line for line in lines)
    assert any("'debug', 'info', 'warning' or 'error'" in line for line in lines)


@pytest.mark.parametrize("service", [payment_settings.Settings, gateway_settings.Settings])
def test_a_database_of_no_known_kind_is_a_problem_among_the_others(
    service: type[settings.ServiceSettings],
) -> None:
    """The kind of database is checked with all settings, and a URL's password is not told."""
    prefix = service.model_config["env_prefix"]
    env = {f"{prefix}DATABASE_URL": "mysql://u:canary@host/x", f"{prefix}GRPC_PORT": "abc"}
    _, found = settings.check(service, env)
    told = next(line for line in found if line.startswith(f"{prefix}DATABASE_URL: "))
    assert len(found) == 2
    assert "sqlite:///" in told
    assert "postgresql://" in told
    assert "canary" not in "".join(found)


def test_an_inner_problem_names_its_place() -> None:
    """A wrong entry of a JSON variable is found without guessing."""
    (problem,) = problems({"IMAGINED_SERVICE_PROVIDERS": '{"mock": 7}'})
    assert problem.startswith("IMAGINED_SERVICE_PROVIDERS (mock): ")


def test_what_an_orchestrator_injects_is_no_typo() -> None:
    """Kubernetes adds <SERVICE>_SERVICE_HOST and the like to every container."""
    env = {
        "IMAGINED_SERVICE_SERVICE_HOST": "10.0.0.1",
        "IMAGINED_SERVICE_SERVICE_PORT_GRPC": "50051",
        "IMAGINED_SERVICE_PORT": "tcp://10.0.0.1:50051",
        "IMAGINED_SERVICE_PORT_50051_TCP_ADDR": "10.0.0.1",
    }
    assert problems(env) == []


def test_a_secret_comes_from_a_file_and_never_shows(tmp_path: Path) -> None:
    """The file's text is the secret, without the newline at its end."""
    file = tmp_path / "password"
    file.write_text("correct horse\n")
    env = {
        "IMAGINED_SERVICE_PASSWORD_FILE": str(file),
        "IMAGINED_SERVICE_OPTIONAL_PASSWORD_FILE": str(file),
    }
    loaded = settings.load(Settings, env)
    assert loaded.password.get_secret_value() == "correct horse"
    assert loaded.optional_password is not None
    assert loaded.optional_password.get_secret_value() == "correct horse"
    assert "horse" not in repr(loaded) + str(loaded.model_dump())


def test_a_secret_given_twice_or_far_too_large_is_refused(tmp_path: Path) -> None:
    """Which of the two is meant is not ours to guess."""
    file = tmp_path / "password"
    file.write_bytes(b"x" * 65_537)
    assert problems(
        {"IMAGINED_SERVICE_PASSWORD": "a", "IMAGINED_SERVICE_PASSWORD_FILE": str(file)}
    ) == ["IMAGINED_SERVICE_PASSWORD_FILE: IMAGINED_SERVICE_PASSWORD is set too; keep one of them"]
    (problem,) = problems({"IMAGINED_SERVICE_PASSWORD_FILE": str(file)})
    assert "larger than 64 KiB" in problem
    file.write_bytes(b"\xff\xfe")
    (problem,) = problems({"IMAGINED_SERVICE_PASSWORD_FILE": str(file)})
    assert "not UTF-8 text" in problem


def test_a_wrong_value_is_not_repeated() -> None:
    """What was typed into the wrong variable may be a secret."""
    (problem,) = problems({"IMAGINED_SERVICE_GRPC_PORT": "hunter2"})
    assert "hunter2" not in problem


def test_every_variable_is_listed() -> None:
    """Compose files are checked against this list."""
    names = settings.variables(Settings)
    assert names["IMAGINED_SERVICE_PASSWORD_FILE"] == "password"
    assert names["IMAGINED_SERVICE_KEY_FILE"] == "key_file"
    assert "IMAGINED_SERVICE_DATABASE_URL_FILE" not in names


def test_settings_do_not_change() -> None:
    """A setting that changes after the start would be read twice differently."""
    loaded = settings.load(Settings, {})
    with pytest.raises(pydantic.ValidationError):
        loaded.grpc_port = 1
