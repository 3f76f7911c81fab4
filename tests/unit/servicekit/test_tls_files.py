"""Files for TLS that can't be used are told of, and those that were renewed are taken."""

import pathlib
import shutil

import pydantic_settings
import pytest
from cryptography.hazmat.primitives import serialization

from servicekit import settings, tls_files
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


def test_what_is_made_of_files_follows_them(made: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """It stays the same object while they do; while a certificate and a key do not fit together
    the former ones are used on, and it is told once.
    """
    for name in ("ca.pem", "key.pem"):
        shutil.copy(made / name, tmp_path)
    told: list[str] = []
    followed = tls_files.Followed(
        tls_files.Files(cert=tmp_path / "ca.pem", key=tmp_path / "key.pem"),
        lambda files: files.paths[0].read_bytes(),
        renewed=lambda: told.append("renewed"),
        unusable=told.append,
    )
    first = followed.current()
    assert followed.current() is first
    shutil.copy(made / "other" / "ca.pem", tmp_path)
    assert [followed.current() is first for _ in range(3)] == [True] * 3
    (tmp_path / "ca.pem").unlink()
    assert followed.current() is first
    shutil.copy(made / "other" / "ca.pem", tmp_path)
    shutil.copy(made / "other" / "key.pem", tmp_path)
    second = followed.current()
    assert second == (made / "other" / "ca.pem").read_bytes()
    assert followed.current() is second
    mismatch, missing, renewed = told
    assert "values mismatch" in mismatch
    assert "No such file" in missing
    assert renewed == "renewed"


def test_files_that_change_while_they_are_read_are_read_again(
    made: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """What may hold one file of before and another of after is not used."""
    for name in ("ca.pem", "key.pem"):
        shutil.copy(made / name, tmp_path)
    reads = 0

    def make(files: tls_files.Files) -> int:
        nonlocal reads
        reads += 1
        if reads == 2:
            (tmp_path / "ca.pem").write_bytes((made / "other" / "ca.pem").read_bytes() + b"\n")
        return reads

    followed = tls_files.Followed(
        tls_files.Files(cert=tmp_path / "ca.pem", key=tmp_path / "key.pem"),
        make,
        renewed=lambda: None,
        unusable=lambda _: None,
    )
    shutil.copy(made / "other" / "ca.pem", tmp_path)
    shutil.copy(made / "other" / "key.pem", tmp_path)
    assert followed.current() == 1
    assert followed.current() == 3
