"""Files for TLS that can't be used are told of when the settings are read."""

import pathlib

import pydantic_settings
import pytest
from cryptography.hazmat.primitives import serialization

from servicekit import settings
from tests import certificates


class Settings(settings.ServiceSettings):
    """Of some process."""

    model_config = pydantic_settings.SettingsConfigDict(env_prefix="DEMO_")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with files of every kind."""
    folder = tmp_path_factory.mktemp("tls")
    other = folder / "other"
    other.mkdir()
    certificates.certify(folder)
    certificates.certify(other)
    key = serialization.load_pem_private_key((folder / "key.pem").read_bytes(), None)
    (folder / "locked.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    (folder / "large.pem").write_bytes(b"#" * ((1 << 20) + 1))
    return folder


def test_files_that_fit_are_taken(made: pathlib.Path) -> None:
    """A certificate with its key, and authorities, are what TLS is made of."""
    found = _problems(made, CERT="ca.pem", KEY="key.pem", CA="other/ca.pem", CLIENT_CA="ca.pem")
    assert found == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"CERT": "ca.pem"}, "belong together"),
        ({"KEY": "key.pem"}, "belong together"),
        ({"CLIENT_CA": "ca.pem"}, "needs tls_cert_path"),
        ({"CERT": "ca.pem", "KEY": "other/key.pem"}, "values mismatch"),
        ({"CERT": "key.pem", "KEY": "key.pem"}, "are not a PEM certificate and its PEM key"),
        ({"CERT": "ca.pem", "KEY": "locked.pem"}, "has a passphrase"),
        ({"CERT": "ca.pem", "KEY": "absent.pem"}, "absent.pem (No such file or directory)"),
        ({"CA": "key.pem"}, "does not hold PEM certificates"),
        ({"CA": "large.pem"}, "larger than 1 MiB"),
        ({"CA": "."}, "Is a directory"),
    ],
)
def test_files_of_no_use_are_named(made: pathlib.Path, given: dict[str, str], said: str) -> None:
    """The process does not start, and is told which file is wrong and what it should be."""
    (problem,) = _problems(made, **given)
    assert problem.startswith("DEMO")
    assert said in problem


def _problems(folder: pathlib.Path, **given: str) -> list[str]:
    env = {f"DEMO_TLS_{name}_PATH": str(folder / path) for name, path in given.items()}
    return settings.check(Settings, env)[1]
