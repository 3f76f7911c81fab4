"""A caller that lives on connects with certificates that were renewed."""

import logging
import pathlib
from typing import Any

import pytest

import payhub_client
from payhub_client import channel
from servicekit import renewal, tls_files
from tests import polling
from tests.integration.servicekit import certified


class _Told(logging.Handler):
    """Keeps what the client tells."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


async def test_a_client_follows_its_files(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a client that was given files could not connect with any more it connects with once
    they are renewed, for what it made before as well; files that don't fit are told once.
    """
    monkeypatch.setattr(renewal, "LOOK_S", 0.05)
    peer, told = certified.Peer(), _Told()
    logger = logging.getLogger("payhub_client")
    logger.setLevel(logging.INFO)
    logger.addHandler(told)
    ca, cert, key = (tmp_path / name for name in ("ca", "cert", "key"))
    peer.certify(certified.FORMER, tls_files.Files(ca=ca, cert=cert, key=key))
    await peer.start(certified.NEW)
    files = payhub_client.TlsFiles(ca=str(ca), cert=cert, key=key)
    link = channel.Link(target=peer.target, key=None, credentials=files)
    who: Any = link.channel.unary_unary("/test.Peer/Who")
    try:
        assert not await link.connected(0.2)
        key.write_bytes(peer.authorities[certified.NEW].issue("new")[1])
        assert not await link.connected(0.3)
        peer.certify(certified.NEW, tls_files.Files(ca=ca, cert=cert, key=key))
        assert await link.connected(polling.LONGEST_S)
        assert await who(b"", timeout=10) == b"new"
    finally:
        await link.close()
        await peer.stop()
        logger.removeHandler(told)
    unusable, renewed = told.lines
    assert "values mismatch" in unusable
    assert "renewed certificates" in renewed


def test_files_of_no_use_are_refused_at_once(tmp_path: pathlib.Path) -> None:
    """A client is not made with files that are missing or incomplete."""
    with pytest.raises(ValueError, match="absent"):
        payhub_client.TlsFiles(ca=tmp_path / "absent")
    with pytest.raises(ValueError, match="belong together"):
        payhub_client.TlsFiles(ca=tmp_path / "absent", cert=tmp_path / "cert")
