"""A provider that serves TLS can be proven, and one that calls core with it."""

import pathlib
import socket
from typing import Any

import pytest

from provider_sdk.conformance import sites
from tests import certificates
from tests.integration.conformance import rig


@pytest.fixture
def files(tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder with a certificate, which is its own authority, and its key."""
    certificates.certify(tmp_path)
    return tmp_path


def _profile(files: pathlib.Path, **registration: Any) -> dict[str, Any]:
    """Returns the simulated provider's profile, with TLS in both directions."""
    held = {"CERT": "ca.pem", "KEY": "key.pem", "CA": "ca.pem", "CLIENT_CA": "ca.pem"}
    served = {f"PROVIDER_MOCK_TLS_{what}_PATH": str(files / name) for what, name in held.items()}
    document = rig.mock_document()
    return {
        **document,
        "environment": {**document["environment"], **served},
        "registration": {**document["registration"], **registration},
    }


def test_rules_are_looked_at_over_mutual_tls(files: pathlib.Path) -> None:
    """With the provider's authority and a certificate it believes the suite connects, and its
    double of core serves TLS where the profile says that the provider calls so.
    """
    shown = ("--ca", "ca.pem", "--cert", "ca.pem", "--cert-key", "key.pem")
    options = [str(files / each) if each.endswith(".pem") else each for each in shown]
    ended = rig.run_command(
        files, *options, "--only", "1,2,9,69a", profile=_profile(files, tls=True)
    )
    outcomes = [each["outcome"] for each in ended.report["checks"]]
    assert (ended.status, outcomes) == (0, ["passed"] * 4), ended.out + ended.err


def test_who_is_not_reached_may_speak_another_way(
    files: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no connection is made it says what may be missing for TLS, as gRPC does not."""
    monkeypatch.setattr(sites, "CONNECT_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        endpoint = ("--endpoint", f"127.0.0.1:{mute.getsockname()[1]}", "--only", "9")
        in_clear = rig.run_command(files, *endpoint)
        over_tls = rig.run_command(files, *endpoint, "--ca", str(files / "ca.pem"))
    assert (in_clear.status, over_tls.status) == (2, 2)
    assert "one that serves TLS needs --ca" in in_clear.err
    assert "of an authority in --ca" in over_tls.err


def test_a_double_of_core_has_to_be_given_a_certificate(files: pathlib.Path) -> None:
    """Who calls core with TLS can't be looked at without one to serve, and is not failed."""
    profile = {**rig.mock_document(), "registration": _profile(files, tls=True)["registration"]}
    ended = rig.run_command(files, "--only", "69a", profile=profile)
    (check,) = ended.report["checks"]
    assert check["outcome"] == "not_proven"
    assert "give --cert and --cert-key" in check["reason"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--cert", "ca.pem"), "--cert and --cert-key belong together"),
        (("--cert", "ca.pem", "--cert-key", "key.pem"), "--cert needs --ca"),
        (("--ca", "absent.pem"), "absent.pem (No such file"),
        (("--ca", "key.pem"), "does not hold PEM certificates"),
    ],
)
def test_files_of_no_use_end_the_command(
    files: pathlib.Path, options: tuple[str, ...], said: str
) -> None:
    """The command does not run with files that are missing, incomplete or do not fit."""
    given = [str(files / each) if each.endswith(".pem") else each for each in options]
    ended = rig.run_command(files, *given)
    assert ended.status == 2
    assert said in ended.err
