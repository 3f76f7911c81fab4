"""What PLUGIN_* says about core."""

import pathlib

import pytest

from provider_sdk import registration
from provider_sdk import registration_settings as settings

CORE = {"PLUGIN_CORE_ENDPOINT": "core.internal:50051"}


def test_without_a_core_nothing_is_asked_for() -> None:
    """A plugin at a static endpoint needs no variable, wherever it listens."""
    loaded = settings.load({"PLUGIN_DIRS": "somebody else's"}, host="0.0.0.0")
    assert loaded == settings.Settings()


def test_everything_can_be_said() -> None:
    """The key is taken from a variable or read from a file later, never shown."""
    told = {**CORE, "PLUGIN_KEY": "phk_secret\n", "PLUGIN_ADVERTISED_ENDPOINT": "[::1]:50061\r"}
    loaded = settings.load(told, host="0.0.0.0")
    assert (loaded.key, loaded.advertised_endpoint) == ("phk_secret", "[::1]:50061")
    assert "phk_secret" not in repr(loaded)
    filed = settings.load({**CORE, "PLUGIN_KEY_FILE": "/not/there/yet\n"}, host="127.0.0.1")
    assert filed.key_file == pathlib.Path("/not/there/yet")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"PLUGIN_CORE_ENDPOINT": "http://core"}, "PLUGIN_CORE_ENDPOINT: must be host:port"),
        ({"PLUGIN_ADVERTISED_ENDPOINT": "me"}, "PLUGIN_ADVERTISED_ENDPOINT: must be host:port"),
        ({"PLUGIN_KEY": "a b"}, "PLUGIN_KEY: not a key"),
        ({"PLUGIN_KEY": "k", "PLUGIN_KEY_FILE": "f"}, "PLUGIN_KEY_FILE: PLUGIN_KEY is set too"),
        ({"PLUGIN_ADVERTISED_ENDPOIN": "me:1"}, "did you mean PLUGIN_ADVERTISED_ENDPOINT?"),
    ],
)
def test_what_is_wrong_ends_the_process_with_a_way_out(
    wrong: dict[str, str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 2, and the variable's name with what to do."""
    with pytest.raises(SystemExit) as ended:
        settings.load({**CORE, **wrong}, host="127.0.0.1")
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_who_listens_everywhere_says_where_it_is_reached(
    host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Core can't dial 0.0.0.0; every problem is listed at once."""
    with pytest.raises(SystemExit):
        settings.load({**CORE, "PLUGIN_KEY": "a b"}, host=host)
    said = capsys.readouterr().err
    assert "PLUGIN_ADVERTISED_ENDPOINT: required" in said
    assert "PLUGIN_KEY" in said


@pytest.mark.parametrize(
    ("reason", "named"),
    [
        ("KEY_INVALID", "payctl keys create"),
        ("SCOPE_MISSING", "plugins:register"),
        ("IDENTITY_MISMATCH", "PLUGIN_ADVERTISED_ENDPOINT"),
        ("PLUGIN_NOT_ALLOWED", "payctl plugins allow"),
    ],
)
def test_a_refusal_to_register_says_who_can_mend_it(reason: str, named: str) -> None:
    """Whoever reads the log of a plugin that core does not take learns what to change."""
    assert named in registration.WAYS_OUT[reason]
