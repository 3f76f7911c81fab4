"""How checks are run and reported: outcomes, exit status, files."""

import asyncio
import functools
import itertools
import pathlib
import signal
from concurrent import futures
from xml.etree import ElementTree

import grpc
import pytest
from payhub.plugin.v1 import capability_pb2
from payhub.plugin.v1 import plugin_service_pb2 as ps

from provider_sdk.conformance import catalog, checks, process, results, runner, sites
from provider_sdk.conformance import run as runs
from tests.integration.conformance import rig
from tests.integration.provider import rig as provider_rig

Outcome = results.Outcome

QUICK = "5,9,14a"


async def _holds(run: runs.Run) -> None:
    run.note("7 of 7")


async def _is_broken(run: runs.Run) -> None:
    raise checks.Failed("the answer was 41", fix="answer 42", rule="The answer is 42.")


async def test_outcomes_say_what_was_seen(running_mock: provider_rig.MockProcess) -> None:
    """A check passes with its notes, or fails with what was seen, the rule and the way out."""
    async with rig.session(running_mock.target) as session:
        passed = await session.execute(rig.check(_holds))
        failed = await session.execute(rig.check(_is_broken))
    assert (passed.outcome, passed.notes) == (Outcome.PASSED, ("7 of 7",))
    assert (failed.outcome, failed.reason, failed.rule, failed.fix) == (
        Outcome.FAILED,
        "the answer was 41",
        "The answer is 42.",
        "answer 42",
    )


async def test_any_other_end_of_a_check_is_a_failure(
    running_mock: provider_rig.MockProcess,
) -> None:
    """An unexpected refusal, a bug, a group of failures and a hang all fail with their cause."""

    async def refused(run: runs.Run) -> None:
        await (await run.new_binding(configure=False)).authorize()

    async def bug(run: runs.Run) -> None:
        raise ValueError("odd answer")

    async def group(run: runs.Run) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_is_broken(run))
            tasks.create_task(asyncio.sleep(60))

    async def hang(run: runs.Run) -> None:
        await asyncio.sleep(60)

    async with rig.session(running_mock.target) as session:
        ended = [await session.execute(rig.check(one)) for one in (refused, bug, group)]
        ended.append(await session.execute(rig.check(hang, timeout_s=0.5)))
    assert {one.outcome for one in ended} == {Outcome.FAILED}
    for one, text in zip(
        ended,
        ("BINDING_NOT_CONFIGURED", "ValueError: odd answer", "the answer was 41", "within 0.5 s"),
        strict=True,
    ):
        assert text in one.reason
        assert one.fix


async def test_only_an_answer_that_is_late_each_time_fails(
    running_mock: provider_rig.MockProcess,
) -> None:
    """A deadline that passed is no refusal: it is tried again, and told if it stays so."""

    async def probe(run: runs.Run, late: int) -> None:
        tries = itertools.count()

        async def ask() -> object:
            timeout_s = -1.0 if next(tries) < late else 10.0
            return await run.call(run.plugin.Probe, ps.ProbeRequest(), timeout_s=timeout_s)

        await run.in_time(ask)
        run.note(f"{next(tries)} tries")

    async with rig.session(running_mock.target) as session:
        ended = [
            await session.execute(rig.check(functools.partial(probe, late=late)))
            for late in (0, 2, 3)
        ]
    assert [one.outcome for one in ended] == [Outcome.PASSED, Outcome.PASSED, Outcome.FAILED]
    assert [one.notes for one in ended[:2]] == [("1 tries",), ("3 tries",)]
    assert "DEADLINE_EXCEEDED" in ended[2].reason


async def test_a_rule_is_skipped_only_for_a_reason(
    running_mock: provider_rig.MockProcess,
) -> None:
    """Without capability, double, process or instrument nothing is proven, and it says why."""

    async def wants_instrument(run: runs.Run) -> None:
        run.instrument("made_of_gold")

    wanted = (
        (rig.check(_holds, needs_upstream=True), checks.Cause.ABILITY, "upstream double"),
        (rig.check(_holds, needs_process=True), checks.Cause.ABILITY, "`command`"),
        (rig.check(wants_instrument), checks.Cause.PROFILE, "made_of_gold"),
        (
            checks.later(number=901, title="Later.", reason="not part of the contract yet"),
            checks.Cause.LATER,
            "not part of the contract yet",
        ),
    )
    bare = {"command": None, "upstream": None, "environment": None, "previous": None}
    async with rig.session(running_mock.target, **bare, registration=None) as session:
        for check, cause, text in wanted:
            result = await session.execute(check)
            assert (result.outcome, result.cause) == (Outcome.NOT_PROVEN, cause)
            assert text in result.reason


async def test_a_capability_not_declared_is_no_failure() -> None:
    """What a provider does not offer does not apply to it."""
    lacking = checks.Cause.CAPABILITY
    async with rig.session() as session:
        # Only the mode with an upstream system can test credentials.
        needs = (capability_pb2.CAPABILITY_CREDENTIAL_CHECK,)
        result = await session.execute(rig.check(_holds, needs=needs))
    assert (result.outcome, result.cause) == (Outcome.NOT_PROVEN, lacking)
    assert "CAPABILITY_CREDENTIAL_CHECK" in result.reason


async def test_a_process_that_dies_fails_its_check_alone() -> None:
    """The check under which the provider's process ends fails; the next finds a new one."""

    async def kill(run: runs.Run) -> None:
        assert run.process is not None
        await run.process.kill()

    async def pay(run: runs.Run) -> None:
        await (await run.new_binding()).pay()

    async def kill_and_pay(run: runs.Run) -> None:
        await kill(run)
        await pay(run)

    async with rig.session() as session:
        refused = await session.execute(rig.check(kill_and_pay, level=checks.SHOULD))
        killed = await session.execute(rig.check(kill))
        advised = await session.execute(rig.check(kill, level=checks.SHOULD))
        after = await session.execute(rig.check(pay))
    for one in (killed, advised):
        assert one.outcome is Outcome.FAILED
        assert f"status -{int(signal.SIGKILL)}" in one.reason
        # Whatever the check is about: no process may end.
        assert one.is_must
        assert not one.is_unusable
    assert (refused.outcome, refused.is_must) == (Outcome.FAILED, True)
    assert after.outcome is Outcome.PASSED


async def test_what_could_not_even_be_started_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a failure says nothing of the rule: a mutant that fails so is not caught."""

    async def absent(self: sites.Sites, kind: sites.Kind) -> runs.Run:
        raise process.CannotStart("no such program")

    async def unused(run: runs.Run) -> None:
        raise AssertionError("not run here")

    monkeypatch.setattr(sites.Sites, "get", absent)
    session = runner.Session(rig.mock_profile())
    result = await session.execute(rig.check(unused))
    assert (result.outcome, result.is_unusable) == (Outcome.FAILED, True)


async def test_it_removes_what_it_made_and_nothing_else(
    running_mock: provider_rig.MockProcess,
) -> None:
    """After a check its bindings are gone; those of others are there and work."""
    core = provider_rig.Core(running_mock.target)
    await core.connect()
    before = await core.plugin.Probe(ps.ProbeRequest(), timeout=10)

    async def two_bindings(run: runs.Run) -> None:
        for _ in range(2):
            await (await run.new_binding()).pay()

    async with rig.session(running_mock.target) as session:
        result = await session.execute(rig.check(two_bindings))
    after = await core.plugin.Probe(ps.ProbeRequest(), timeout=10)
    await core.authorize()
    await core.close()
    assert result.outcome is Outcome.PASSED
    assert core.binding_id in {one.binding_id for one in after.bindings}
    assert [one.binding_id for one in after.bindings] == [one.binding_id for one in before.bindings]


def test_a_passing_run_exits_with_0(tmp_path: pathlib.Path) -> None:
    """Status 0, one line per check, and the seed with which to repeat it."""
    ended = rig.run_command(tmp_path, "--only", QUICK, "--seed", "41")
    assert ended.status == 0, ended.out + ended.err
    assert "3 passed, 0 failed, 0 not proven" in ended.out
    assert "seed 41" in ended.out
    assert ended.err.count(" passed: ") == 3


def test_a_partial_report_never_passes(tmp_path: pathlib.Path) -> None:
    """Only a run of every check can be shown to core."""
    report = rig.run_command(tmp_path, "--only", QUICK).report
    assert (report["passed"], report["partial"]) == (False, True)
    assert report["format"] == "payhub.conformance/1"
    assert report["plugin_id"] == "mock"
    assert report["schema_digest"].startswith("sha256:")
    assert [one["check"] for one in report["checks"]] == ["5", "9", "14a"]


def test_a_broken_must_exits_with_1(tmp_path: pathlib.Path) -> None:
    """Status 1; people and both reports see what was seen, the rule and what to do."""
    profile = rig.mock_document(plugin_id="someone-else")
    ended = rig.run_command(tmp_path, "--only", QUICK, profile=profile)
    assert ended.status == 1
    seen = "plugin_id is mock, the profile's someone-else"
    for text in (f"seen: {seen}", "contract: The identity is", "do: correct the answer"):
        assert text in ended.out
    (broken,) = [one for one in ended.report["checks"] if one["outcome"] == "failed"]
    assert (broken["check"], broken["reason"]) == ("5", seen)
    suite = ElementTree.fromstring(ended.junit)
    assert (suite.get("tests"), suite.get("failures")) == ("3", "1")
    assert suite.find("testcase/failure").get("message") == seen  # type: ignore[union-attr]


def test_what_could_not_be_looked_at_is_said(
    tmp_path: pathlib.Path, running_mock: provider_rig.MockProcess
) -> None:
    """A bare endpoint leaves rules unproven: skipped in JUnit, a failure only if asked for."""
    profile = rig.mock_document(
        command=None, upstream=None, environment=None, previous=None, registration=None
    )
    arguments = ("--endpoint", running_mock.target, "--only", "5,6b,34,60")
    ended = rig.run_command(tmp_path, *arguments, profile=profile)
    assert ended.status == 0, ended.out
    because = ended.report["summary"]["not_proven_because"]
    assert because["ability"] >= 2
    assert because["later"] == 1
    assert "not proven: the profile has no `command`" in ended.junit
    strict = rig.run_command(tmp_path, *arguments, "--all-proven", profile=profile)
    assert strict.status == 1
    assert "check 6b is not proven" in strict.out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--only", "4711"], "no check 4711; `--list` names them all"),
        (["--endpoint", "127.0.0.1:1"], "nothing answers at 127.0.0.1:1"),
        (["--memory-seconds", "-1"], "give seconds from 0 to 3600"),
        (["--expected-failures", "/nowhere.yaml"], "/nowhere.yaml: can't be read"),
        (["--json", "/no/such/folder/report.json"], "no such folder"),
    ],
)
def test_what_can_not_run_exits_with_2(
    tmp_path: pathlib.Path, arguments: list[str], text: str
) -> None:
    """Status 2 and one sentence that says what to do; no report is written."""
    ended = rig.run_command(tmp_path, *arguments)
    assert ended.status == 2
    assert text in ended.err
    assert ended.report == {}


def test_a_provider_that_does_not_start_exits_with_2(tmp_path: pathlib.Path) -> None:
    """Status 2 with what the process said last."""
    code = "import sys; sys.exit('no licence for {port}')"
    profile = rig.mock_document(command=["{python}", "-c", code])
    ended = rig.run_command(tmp_path, "--only", "5", profile=profile)
    assert ended.status == 2
    assert "ended with status 1" in ended.err
    assert "no licence for" in ended.err


def test_what_is_no_plugin_exits_with_2(tmp_path: pathlib.Path) -> None:
    """A gRPC server of another kind is named as what it is."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        ended = rig.run_command(tmp_path, "--endpoint", f"127.0.0.1:{port}", "--only", "5")
    finally:
        server.stop(None).wait()
    assert ended.status == 2
    assert "does not serve payhub.plugin.v1.PluginService: UNIMPLEMENTED" in ended.err


def test_every_problem_of_a_profile_is_told_at_once(tmp_path: pathlib.Path) -> None:
    """Status 2 with one line for each, naming the place."""
    profile = {
        "plugin_id": "Mock!",
        "instruments": {"decline": "tok"},
        "currencies": ["euro"],
        "surprise": 1,
    }
    ended = rig.run_command(tmp_path, profile=profile)
    assert ended.status == 2
    lines = ended.err.splitlines()
    for place in ("plugin_id", "instruments", "currencies.0", "surprise"):
        assert sum(f" {place}: " in line for line in lines) == 1, lines


def _waive(folder: pathlib.Path, text: str) -> str:
    path = folder / "expected.yaml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("entry", "status", "text"),
    [
        ("{check: 5, reason: known since the start, expires: 2999-01-01}", 0, "failed as expected"),
        ("{check: 5, reason: known since the start, expires: 2001-01-01}", 1, "until 2001-01-01"),
        ("{check: 9, reason: known since the start, expires: 2999-01-01}", 1, "check 9 passes"),
        ("{check: 4711, reason: known since the start, expires: 2999-01-01}", 2, "no check 4711"),
        ("{check: 5, expires: never}", 2, "reason"),
    ],
)
def test_expected_failures_expire(
    tmp_path: pathlib.Path, entry: str, status: int, text: str
) -> None:
    """A waiver tolerates one failure until a day, must still be needed, and passes nothing."""
    profile = rig.mock_document(plugin_id="someone-else")
    waivers = _waive(tmp_path, f"- {entry}\n")
    arguments = ("--only", QUICK, "--expected-failures", waivers)
    ended = rig.run_command(tmp_path, *arguments, profile=profile)
    assert ended.status == status, ended.out + ended.err
    assert text in ended.out + ended.err
    assert not ended.report.get("passed", False)


def test_a_secret_comes_from_the_environment_alone(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing variable is named; a set one reaches the provider by Configure only."""
    profile = rig.mock_document(secrets={"api_key": {"env": "CONFORMANCE_TEST_KEY"}})
    monkeypatch.delenv("CONFORMANCE_TEST_KEY", raising=False)
    missing = rig.run_command(tmp_path, "--only", "15a", profile=profile)
    assert missing.status == 2
    assert "the environment variable CONFORMANCE_TEST_KEY is not set" in missing.err
    monkeypatch.setenv("CONFORMANCE_TEST_KEY", "value-of-the-key")
    code = (
        "import os, runpy, sys; "
        "sys.exit('leaked') if 'CONFORMANCE_TEST_KEY' in os.environ else None; "
        "runpy.run_module('provider_mock', run_name='__main__')"
    )
    profile["command"] = ["{python}", "-c", code]
    ended = rig.run_command(tmp_path, "--only", "15a", profile=profile)
    assert ended.status == 0, ended.out + ended.err
    assert "value-of-the-key" not in ended.out + ended.err + ended.junit


def test_the_list_names_every_rule() -> None:
    """All 80 rules are listed, those left for later with the reason."""
    numbers = {check.number for check in catalog.everything()}
    assert numbers == set(range(1, 81))
    later = {check.number for check in catalog.everything() if check.function is None}
    assert later == {60, 71, 72, 73}
    assert all(check.later for check in catalog.everything() if check.function is None)
