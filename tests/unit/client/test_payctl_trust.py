"""payctl connects with TLS as its options say, or not at all."""

import pathlib

import pytest
import typer

from payctl import trust
from tests import certificates


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with two certificates and their keys."""
    folder = tmp_path_factory.mktemp("tls")
    (folder / "other").mkdir()
    certificates.certify(folder)
    certificates.certify(folder / "other")
    return folder


def test_an_authority_is_enough_and_nothing_is_in_clear(made: pathlib.Path) -> None:
    """Who names an authority connects with TLS, with a certificate of one's own if wished."""
    assert trust.Files().credentials() is None
    assert trust.Files(ca=made / "ca.pem").credentials() is not None
    shown = trust.Files(ca=made / "ca.pem", cert=made / "ca.pem", cert_key=made / "key.pem")
    assert shown.credentials() is not None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"cert": "ca.pem"}, "--cert and --cert-key belong together"),
        ({"cert": "ca.pem", "cert_key": "key.pem"}, "--cert needs --ca"),
        ({"ca": "key.pem"}, "key.pem does not hold PEM certificates"),
        ({"ca": "absent.pem"}, "No such file"),
        ({"ca": "ca.pem", "cert": "ca.pem", "cert_key": "other/key.pem"}, "values mismatch"),
    ],
)
def test_files_of_no_use_end_the_command(
    made: pathlib.Path, given: dict[str, str], said: str
) -> None:
    """A command does not run with files that are missing, incomplete or do not fit together."""
    files = trust.Files(**{name: made / path for name, path in given.items()})
    with pytest.raises(typer.BadParameter, match=said):
        files.credentials()
