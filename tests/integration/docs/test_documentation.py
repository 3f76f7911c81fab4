"""What the documentation says, against the programs.

Of every page, what it names must exist, and what it lists must be complete.
"""

import functools
import json
import pathlib
import re
import shlex
from typing import Any, get_args

import pytest
from payhub.payments.v1 import payment_pb2
from typer import main

import payhub_client
from benchmarks import report
from event_gateway.consumers import changes
from payctl import commands, session
from payhub_client import events
from payment_service.domain import plugins
from payment_service.domain.mirrors import subscriptions

ROOT = pathlib.Path(__file__).parents[3]
PAGE = ROOT / "docs" / "client.md"
SETTINGS = ROOT / "docs" / "settings.md"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
FENCED = re.compile(r"^ *```\w*\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"payctl ((?:[^`\n\\]|\\\n)+)")
COMMAND_ENDS = re.compile(r"\s#|[;:]\s|,\s|\)|\s[|&>]\s")
CODE = re.compile(r"`([^`\n]+)`")
SHOUTED = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")
# Variables of others, and of examples.
OTHERS = ("ACME_", "STRIPE_", "VOUCHERS_", "SSL_CERT_FILE", "OUT_OF_RANGE", "TEST_", "BigInt")
# Made when processes run, and in the guide to providers.
NO_FILES = ("var/", "./var/", "vouchers/")
LINK = re.compile(r"\]\(([^)\s]+)\)")
QUOTED = re.compile(r'"([A-Z][^"\n]{3,60})"(?: under| in)? \[[\w. -]+\]\(([\w./-]+\.md)\)')
FILE = re.compile(r"`(\w[\w./-]+(?:/|\.(?:py|proto|yml|yaml|sql|toml|md|jsonl)))`")
DEFAULT = re.compile(r"`([A-Z_]+_[A-Z]+)`(?:, | \()(\d[\d.]*)(?: (s|days))?\)")
CAMEL = re.compile(r"\b(?:[A-Z][a-z]+){2,}\b")
FOLDERS = (
    "servicekit", "payment_service", "event_gateway", "provider_sdk", "protos", "provider_mock",
    "provider_stripe", "payctl", "subscribers", "examples", "benchmarks", "deploy",
    "payhub_client", "tests/stripe_double",
)  # fmt: skip
EVENT_TYPE = re.compile(
    r'"((?:payment|refund|customer|payment_method|plan|subscription|invoice|checkout|dispute'
    r'|reconciliation|webhook|plugin|binding|api_key|retry_policy|default_provider)\.[a-z_]+)"'
)
METRIC = re.compile(r"\bpayhub_[a-z_]+\b")


def test_the_documentation_lists_every_state_and_exit_code() -> None:
    """No state and no exit code is missing from the tables."""
    page = PAGE.read_text()
    later = {"STATE_UNSPECIFIED", "STATE_CREATED", "STATE_CANCELED"}
    for name in set(payment_pb2.Payment.State.keys()) - later:
        assert f"`{name.removeprefix('STATE_')}`" in page
    for code in session.Exit:
        assert f"| {code.value} |" in page


def test_the_client_has_what_its_page_lists() -> None:
    """The table of what a client can do names each of its parts, and methods that they have."""
    client = payhub_client.Client("127.0.0.1:1", key=None, events_target="127.0.0.1:1")
    table = PAGE.read_text().partition("| part of `Client` | does |")[2].partition("\n\n")[0]
    named = set()
    for row in re.findall(r"^\| (`.*)$", table, re.MULTILINE):
        parts, _, methods = row.partition(" | ")
        for part in CODE.findall(parts):
            named.add(part)
            known = {*dir(getattr(client, part)), "payctl"}
            assert set(CODE.findall(methods)) <= known, part
    parts = {name for name in dir(client) if name[0] != "_" and not callable(getattr(client, name))}
    assert named == parts


def test_every_floor_that_is_not_met_is_told() -> None:
    """What docs/benchmarks.md says does not hold is what the kept results say."""
    figures = json.loads((report.RESULTS / "latest.json").read_text())["figures"]
    missed = {
        name: (limit, float(f"{figures[name]:.2g}"))
        for name, (sign, limit) in report.BOUNDS.items()
        if (figures[name] < limit if sign == "≥" else figures[name] > limit)
    }
    row = re.compile(r"^\| `(\w+)` \| (?:at most )?([\d.]+) \| ([\d.]+) \|", re.MULTILINE)
    told = row.findall((ROOT / "docs" / "benchmarks.md").read_text())
    assert {name: (float(limit), float(seen)) for name, limit, seen in told} == missed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_on_a_page_exists(page: pathlib.Path) -> None:
    """No page names a command or an option that payctl has not."""
    if page.name == "CHANGELOG.md":
        return
    root = _payctl()
    wrong = [
        (text, problem)
        for code in [*FENCED.findall(page.read_text()), *CODE.findall(page.read_text())]
        for found in COMMAND.findall(code)
        for text in [COMMAND_ENDS.split(found.replace("\\\n", " "))[0]]
        if (problem := _problem(root, text))
    ]
    assert wrong == []


def test_every_argument_and_option_says_what_it_is() -> None:
    """`payctl … --help` leaves none without a word."""

    def silent(command: Any, path: str) -> list[str]:
        found = [f"{path} {each.name}" for each in command.params if not each.help]
        for name, child in getattr(command, "commands", {}).items():
            found += silent(child, f"{path} {name}")
        return found

    assert silent(_payctl(), "payctl") == []


def test_every_name_on_a_page_exists() -> None:
    """Reasons, states, variables and metrics are those of the contract, settings and code."""
    settings = set(re.findall(r"^\| `([A-Z_]+)`", SETTINGS.read_text(), re.MULTILINE))
    spoken = _spoken()
    endings = {name[at:] for name in spoken if name.isupper() for at in _parts(name)}
    missing = set()
    for page in PAGES:
        if page.name == "CHANGELOG.md":
            continue
        text = page.read_text()
        for code in CODE.findall(text):
            for name in SHOUTED.findall(code):
                ends = {name[at:] for at in _parts(name)} | {name.removesuffix("_FILE")}
                if not (name in endings or ends & settings or name.startswith(OTHERS)):
                    missing.add((page.name, name))
        for name in METRIC.findall(text):
            bare = name.removesuffix("_total")
            if not ({name, bare} & spoken or (ROOT / name).is_dir()):
                missing.add((page.name, name))
    assert missing == set()


def test_every_default_on_a_page_is_that_of_the_setting() -> None:
    """What is written beside a variable, as in (`NAME`, 30 days), is its default."""
    # Those of every process differ from one to another.
    tables = SETTINGS.read_text().partition("## payment_service")[2]
    defaults = dict(re.findall(r"^\| `([A-Z_]+)` \| `([\d.]+)`", tables, re.MULTILINE))
    wrong, seen = [], 0
    for page in PAGES:
        for name, number, unit in DEFAULT.findall(" ".join(page.read_text().split())):
            if name in defaults:
                seen += 1
                factor = 86400 if unit == "days" and name.endswith("_S") else 1
                if float(number) * factor != float(defaults[name]):
                    wrong.append((page.name, name, number))
    assert (wrong, seen > 10) == ([], True)


def test_the_catalogue_has_every_type_of_event_and_no_other() -> None:
    """docs/event-types.md lists what core and the gateway tell, with the payloads of the client."""
    page = (ROOT / "docs" / "event-types.md").read_text()
    code = {
        folder: "\n".join(path.read_text() for path in (ROOT / folder).rglob("*.py"))
        for folder in ("payment_service", "event_gateway")
    }
    told = set(EVENT_TYPE.findall("".join(code.values())))
    # Those whose name is put together.
    told |= {"payment_method.attached", "payment_method.created", "subscription.resumed"}
    told |= {
        f"subscription.{subscriptions._entered(subscriptions.State.PENDING, state)}"
        for state in subscriptions.State
        if subscriptions._entered(subscriptions.State.PENDING, state)
    }
    told |= {
        f"plugin.{state.name.lower()}"
        for state in plugins.PluginState
        if state.name not in ("DISCOVERED", "REGISTERED", "ERROR")
    }
    told |= {"plugin.stopped"}
    told |= {
        f"webhook_endpoint.{verb}" for verb in re.findall(r'verb="(\w+)"', code["event_gateway"])
    }
    told |= {f"consumer.{change}" for change in changes.Change}
    # As the provider calls what it notices.
    told |= {"subscription.trial_ending"}
    rows = "\n".join(re.findall(r"^\| (`.*?) \|", page, re.MULTILINE))
    assert set(CODE.findall(rows)) == told
    schemas = set(re.findall(r"`(payhub\.\w+\.v1\.\w+Event)`", page))
    assert schemas == {kind.DESCRIPTOR.full_name for kind in get_args(events.Payload)}


def test_every_link_leads_somewhere() -> None:
    """Files, anchors and sections that a page refers to by name are there."""
    broken = []
    for page in (*PAGES, *ROOT.glob("docs/*/*.md"), *ROOT.glob("examples/*/*.md")):
        text = FENCED.sub("", page.read_text())
        for link in LINK.findall(text):
            if link.startswith("http"):
                continue
            file, _, anchor = link.partition("#")
            target = page.parent / file if file else page
            if not target.exists() or (anchor and anchor not in _anchors(target)):
                broken.append((page.name, link))
        for section, file in QUOTED.findall(text):
            if not any(each.startswith(section) for each in _headings(page.parent / file)):
                broken.append((page.name, section))
    assert broken == []


def test_what_operators_are_told_to_look_for_is_written() -> None:
    """What a page quotes is a section, or what a program logs, answers or shows."""
    code = "".join(
        re.sub(r'"\s*\n\s*f?"', "", path.read_text())
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
    )
    pages = [ROOT / "docs" / name for name in ("operations.md", "troubleshooting.md")]
    sections = [each for page in PAGES for each in _headings(page)]
    missing = [
        quoted
        for page in pages
        for quoted in re.findall(
            r'"([^"]{6,90})"', " ".join(CODE.sub("", FENCED.sub("", page.read_text())).split())
        )
        if not any(section.startswith(quoted) for section in sections)
        and not all(part.strip() in code for part in quoted.split("…"))
    ]
    assert missing == []


def test_every_file_and_message_on_a_page_exists() -> None:
    """What is written as a file is one, ARCHITECTURE's modules included; RPCs, messages and
    classes are those of the contract and the code.
    """
    files = [
        "/" + str(path.relative_to(ROOT))
        for found in (
            ROOT.glob("*"),
            *((ROOT / each).rglob("*") for each in (*FOLDERS, "tests", "docs")),
        )
        for path in found
    ]
    missing = []
    for page in PAGES:
        if page.name == "CHANGELOG.md":
            continue
        text = FENCED.sub("", page.read_text())
        for name in FILE.findall(text):
            ends = f"/{name.removesuffix('/')}"
            if not name.startswith(NO_FILES) and not any(each.endswith(ends) for each in files):
                missing.append((page.name, name))
        for code in CODE.findall(text):
            missing += [
                (page.name, name)
                for name in CAMEL.findall(code)
                if name not in _spoken() and name not in OTHERS
            ]
    assert missing == []


@functools.cache
def _anchors(page: pathlib.Path) -> frozenset[str]:
    """Returns what a page's headings are linked by, as GitHub names them."""
    found: list[str] = []
    for heading in _headings(page):
        name = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found.append(f"{name}-{found.count(name)}" if name in found else name)
    return frozenset(found)


def _headings(page: pathlib.Path) -> list[str]:
    return re.findall(r"^#+ (.*)$", FENCED.sub("", page.read_text()), re.MULTILINE)


@functools.cache
def _spoken() -> frozenset[str]:
    """Returns every word of the contract and the code."""
    found: set[str] = set()
    for path in (path for folder in FOLDERS for path in (ROOT / folder).rglob("*")):
        if path.suffix in (".py", ".proto", ".yaml"):
            found.update(re.findall(r"\b\w+\b", path.read_text()))
    return frozenset(found)


def _parts(name: str) -> list[int]:
    return [0, *(at + 1 for at, letter in enumerate(name) if letter == "_")]


@functools.cache
def _payctl() -> Any:
    return main.get_command(commands.app)


def _problem(command: Any, text: str) -> str:
    try:
        words = shlex.split(text)
    except ValueError:
        words = text.split()
    for word in words:
        subcommands = getattr(command, "commands", None)
        if word.startswith("--"):
            options = {each for one in command.params for each in (*one.opts, *one.secondary_opts)}
            if word.partition("=")[0] not in {*options, "--help"}:
                return f"{command.name} has no option {word}"
        elif subcommands is not None:
            names = word.split("|")
            unknown = [each for each in names if each not in subcommands]
            if unknown:
                return f"{command.name} has no command {', '.join(unknown)}"
            command = subcommands[names[0]]
    return ""
