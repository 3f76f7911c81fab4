"""A process that was given certificates serves TLS alone, and those that were renewed."""

import contextlib
import pathlib
import shutil
from collections.abc import AsyncIterator

import grpc
import grpc.aio
import pytest

from servicekit import tls
from tests import certificates, polling
from tests.integration.servicekit import echo, test_process


@pytest.fixture
def first(tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder with a certificate and its key."""
    return _certified(tmp_path / "first")


@pytest.fixture
def second(tmp_path: pathlib.Path) -> pathlib.Path:
    """Another one, of another authority."""
    return _certified(tmp_path / "second")


@contextlib.asynccontextmanager
async def _serving(folder: pathlib.Path, **env: str) -> AsyncIterator[test_process.Process]:
    served = {
        "ECHO_SERVICE_TLS_CERT_PATH": str(folder / "ca.pem"),
        "ECHO_SERVICE_TLS_KEY_PATH": str(folder / "key.pem"),
    }
    async with test_process.running(**served, **env) as process:
        yield process


async def test_who_believes_the_authority_is_answered_and_nobody_in_clear(
    first: pathlib.Path, second: pathlib.Path
) -> None:
    """With a certificate a process takes no call in clear, nor one that distrusts it."""
    async with _serving(first) as process:
        assert await _answers(process.grpc_at, tls.Files(ca=first / "ca.pem"))
        assert not await _answers(process.grpc_at, tls.Files(ca=second / "ca.pem"))
        assert not await _answers(process.grpc_at, tls.Files())


async def test_callers_must_be_certified_where_an_authority_for_them_is_named(
    first: pathlib.Path, second: pathlib.Path
) -> None:
    """Who calls shows a certificate of that authority, or is not answered."""
    env = {"ECHO_SERVICE_TLS_CLIENT_CA_PATH": str(second / "ca.pem")}
    known = tls.Files(ca=first / "ca.pem", cert=second / "ca.pem", key=second / "key.pem")
    strange = tls.Files(ca=first / "ca.pem", cert=first / "ca.pem", key=first / "key.pem")
    async with _serving(first, **env) as process:
        assert await _answers(process.grpc_at, known)
        assert not await _answers(process.grpc_at, strange)
        assert not await _answers(process.grpc_at, tls.Files(ca=first / "ca.pem"))


async def test_renewed_certificates_are_served_without_a_restart(
    first: pathlib.Path, second: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """Who connects after both files were replaced meets the new certificate; while they do not
    fit together the former one is served on.
    """
    served = tmp_path / "served"
    shutil.copytree(first, served)
    before, after = tls.Files(ca=first / "ca.pem"), tls.Files(ca=second / "ca.pem")
    called = tmp_path / "called.pem"
    shutil.copy(first / "ca.pem", called)
    async with _serving(served, ECHO_SERVICE_TLS_CA_PATH=str(called)) as process:
        # Whom this process calls has nothing to do with what it serves.
        called.unlink()
        assert await _answers(process.grpc_at, before)
        shutil.copy(second / "ca.pem", served / "ca.pem")
        assert await _answers(process.grpc_at, before)
        shutil.copy(second / "key.pem", served / "key.pem")
        await polling.until(lambda: _answers(process.grpc_at, after))
        assert not await _answers(process.grpc_at, before)
        process.child.terminate()
        status, lines = await process.end()
    assert status == 0
    said = [line["event"] for line in lines]
    assert said.count("renewed certificates can't be used; the former ones are served on") == 1
    assert said.count("renewed certificates are served") == 1


def _certified(folder: pathlib.Path) -> pathlib.Path:
    folder.mkdir()
    certificates.certify(folder)
    return folder


async def _answers(target: str, files: tls.Files) -> bool:
    # A connection of its own each time: others may outlive what was served to them.
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with tls.dialer(files).dial(target, options) as channel:
        say = channel.unary_unary(
            f"/{echo.NAME}/Say",
            request_serializer=echo.Text.SerializeToString,
            response_deserializer=echo.Text.FromString,
        )
        try:
            answer = await say(echo.Text(value="hello"), timeout=10)
        except grpc.aio.AioRpcError as failure:
            if failure.code() is grpc.StatusCode.UNAVAILABLE:
                return False
            raise
        return bool(answer.value == "hello")
