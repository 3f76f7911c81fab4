"""What a profile may say, and that every problem in it is told."""

import base64
import pathlib

import pytest
import yaml

from provider_sdk.conformance import canaries, process
from provider_sdk.conformance import profile as profiles

LEAST = {"plugin_id": "acme", "instruments": {"approve": "tok_ok"}}
STARTS = {"command": ["acme", "--port", "{port}"]}


def _write(folder: pathlib.Path, **changes: object) -> pathlib.Path:
    path = folder / "provider.yaml"
    path.write_text(yaml.safe_dump(LEAST | changes))
    return path


def test_the_least_profile_is_an_id_and_an_approving_instrument(tmp_path: pathlib.Path) -> None:
    """Everything else has a default."""
    loaded = profiles.load(_write(tmp_path))
    assert (loaded.plugin_id, loaded.currencies, loaded.command) == ("acme", ["EUR"], None)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"instruments": {}}, "instruments: name at least `approve`"),
        ({"secrets": {"key": {}}}, "secrets.key: give either `env: NAME` or `canary: true`"),
        ({"secrets": {"key": {"env": "NOT_SET_ANYWHERE"}}}, "NOT_SET_ANYWHERE is not set"),
        ({"command": ["acme"]}, "put {port} into `command` or `environment`"),
        ({"command": ["acme", "{port}", "{prot}"]}, "unknown placeholder {prot}"),
        ({"upstream": {}}, "`upstream` needs a `command`"),
        ({"instrument": {}}, "instrument: unknown; remove it"),
    ],
)
def test_a_problem_names_its_place_and_the_way_out(
    tmp_path: pathlib.Path, changes: dict[str, object], text: str
) -> None:
    """One line each."""
    with pytest.raises(profiles.ProfileInvalid) as invalid:
        profiles.load(_write(tmp_path, **changes), env={})
    assert any(text in problem for problem in invalid.value.problems), invalid.value.problems


@pytest.mark.parametrize("text", ["[]", "a: b: c", "", "\x00"])
def test_a_file_of_another_form_is_refused(tmp_path: pathlib.Path, text: str) -> None:
    """What is no YAML mapping is told so."""
    path = tmp_path / "provider.yaml"
    path.write_text(text)
    with pytest.raises(profiles.ProfileInvalid):
        profiles.load(path)


def test_placeholders_are_filled_wherever_a_text_stands(tmp_path: pathlib.Path) -> None:
    """In lists and mappings; braces of other kinds stay as they are."""
    places = process.places(tmp_path / "state", upstream_url="http://127.0.0.1:9")
    filled = places.fill({"a": ["{upstream_url}/v1", "{state_dir}"], "b": 7, "c": '{"x": 1}'})
    assert filled == {
        "a": ["http://127.0.0.1:9/v1", str(tmp_path / "state")],
        "b": 7,
        "c": '{"x": 1}',
    }
    assert places.port != places.http_port


def test_the_upstream_section_is_laid_over_the_profile() -> None:
    """Its environment, config and instruments win; the rest stays."""
    profile = profiles.Profile.model_validate(
        LEAST
        | STARTS
        | {
            "environment": {"A": "1", "B": "1"},
            "upstream": {"environment": {"B": "{upstream_url}"}, "instruments": {"decline": "x"}},
            "previous": {"environment": {"A": "0"}},
        }
    )
    above = profile.at_upstream()
    assert above.environment == {"A": "1", "B": "{upstream_url}"}
    assert above.instruments == {"approve": "tok_ok", "decline": "x"}
    assert above.before().environment == {"A": "0", "B": "{upstream_url}"}


def test_a_canary_is_recognised_in_any_dress() -> None:
    """Plain, base64, hexadecimal or inside a longer text; the leak never shows the value."""
    watch = canaries.Canaries()
    value = watch.new("api_key")
    watch.inspect(b"an ordinary answer", place="an answer")
    assert watch.leaks(*canaries.Where) == []
    dresses: list[bytes | str] = [b"key=" + value, base64.b64encode(value), value.hex()]
    for number, said in enumerate((*dresses, base64.urlsafe_b64encode(value))):
        watch.inspect(said, place=f"answer {number}")
    leaks = watch.leaks(canaries.Where.WIRE)
    assert len(leaks) == 4
    assert all(leak.startswith("the secret api_key in answer") for leak in leaks)
    assert value.decode() not in str(leaks)
    assert watch.leaks(canaries.Where.LOG) == []
