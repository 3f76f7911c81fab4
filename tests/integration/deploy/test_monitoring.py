"""Rules, dashboard, scrape configuration and docs/metrics.md, against what processes show."""

import json
import pathlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import grpc
import promql_parser
import pytest
import yaml
from payhub.payments.v1 import payment_service_pb2

from deploy import check_compose
from payment_service.domain import model, outcomes, webhooks
from payment_service.provider_client import loading
from tests.integration.deploy import exposed

ROOT = check_compose.ROOT
MONITORING = ROOT / "deploy" / "monitoring"
ALERTS = yaml.safe_load((MONITORING / "alerts.yml").read_text())
SCRAPED = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
DASHBOARD = json.loads((MONITORING / "grafana" / "payhub.json").read_text())
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
OF_PROMETHEUS = {
    "up": set[str](),
    "ALERTS": {"alertname", "alertstate"},
}
OF_TARGETS = {"job", "instance"}
DURATION = re.compile(r"\d+[smh]")
TEMPLATE = re.compile(r"\$labels\.(\w+)")
VARIABLE = re.compile(r"\$__rate_interval\b")
ROW = re.compile(
    r"^\| `(?P<name>\w+)` \| (?P<processes>[^|]+) \| (?P<type>\w+) \| (?P<labels>[^|]+) "
    r"\| [^|]+ \| .+ \|$",
    re.MULTILINE,
)


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, set[exposed.Metric]]:
    """The metrics of every process."""
    return exposed.collect(tmp_path_factory.mktemp("backups"))


@pytest.fixture
def series(metrics: Mapping[str, set[exposed.Metric]]) -> dict[str, set[str]]:
    """Labels by every name that can be queried."""
    found: dict[str, set[str]] = {name: set() for name in exposed.OF_LIBRARY} | OF_PROMETHEUS
    for metric in set().union(*metrics.values()):
        labels = set(metric.labels)
        if metric.type == "histogram":
            found[f"{metric.name}_bucket"] = labels | {"le"}
            found[f"{metric.name}_sum"] = found[f"{metric.name}_count"] = labels
        else:
            found[metric.name] = labels
    return found


def selectors(expression: str) -> Iterator[promql_parser.VectorSelector]:
    """Every selector of an expression; ValueError says where it does not parse."""
    found: list[promql_parser.VectorSelector] = []

    def visit(node: promql_parser.Expr) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)
        return True

    promql_parser.walk(promql_parser.parse(expression), visit)
    yield from found


def problems(expression: str, series: Mapping[str, set[str]]) -> list[str]:
    """What an expression names that no process shows."""
    expression = VARIABLE.sub("1m", expression)
    wrong = []
    known = set(OF_TARGETS)
    for selector in selectors(expression):
        labels = series.get(str(selector.name))
        if labels is None:
            wrong.append(f"no metric {selector.name}")
            continue
        labels = labels | OF_TARGETS
        known |= labels
        wrong += [
            f"{selector.name} has no label {each.name}"
            for each in selector.matchers.matchers
            if each.name not in labels
        ]
    grouped = re.findall(r"\b(?:by|on|without|ignoring) ?\(([^)]*)\)", expression)
    named = {one.strip() for each in grouped for one in each.split(",")} - {""}
    return wrong + [f"nothing here has a label {each}" for each in named - known]


def test_what_does_not_exist_is_found(series: dict[str, set[str]]) -> None:
    """The checks below can fail: by metric, by label, by group and by form."""
    assert problems("sum(rate(payhub_outbox_waitin[1m]))", series) == [
        "no metric payhub_outbox_waitin"
    ]
    assert problems('payhub_provider_calls_total{status="x"}', series) == [
        "payhub_provider_calls_total has no label status"
    ]
    assert problems("sum by (tenant) (payhub_plugin_ready)", series) == [
        "nothing here has a label tenant"
    ]
    with pytest.raises(ValueError, match=r"\w"):
        problems("sum(rate(payhub_outbox_waiting[1m])", series)


def test_every_rule_is_whole_and_names_what_exists(series: dict[str, set[str]]) -> None:
    """Each rule has a severity, a time, a summary whose labels the expression keeps, and a
    runbook; alerts have names of their own.
    """
    wrong = []
    for rule in RULES:
        wrong += [f"{rule['alert']}: {each}" for each in problems(rule["expr"], series)]
        assert rule.keys() == {"alert", "expr", "for", "labels", "annotations"}, rule["alert"]
        assert rule["labels"].keys() == {"severity"}
        assert rule["labels"]["severity"] in ("page", "ticket"), rule["alert"]
        assert DURATION.fullmatch(rule["for"]), rule["alert"]
        assert rule["annotations"].keys() == {"summary", "runbook"}
        for label in TEMPLATE.findall(rule["annotations"]["summary"]):
            aggregated = re.search(r"\b(?:sum|max)\b", rule["expr"])
            kept = re.search(rf"\bby \([^)]*\b{label}\b", rule["expr"])
            assert kept or (not aggregated and label in OF_TARGETS), (rule["alert"], label)
    assert wrong == []
    names = [rule["alert"] for rule in RULES]
    assert len(names) == len(set(names))


def test_no_rule_looks_at_one_moment_of_the_past() -> None:
    """It looks over a range: one failed scrape ends every series of a process for a moment, and
    what was told long ago would seem to be new.
    """
    rules = [rule for rule in RULES if " offset " in rule["expr"]]
    assert rules
    assert [each["alert"] for each in rules if re.search(r"(?<!\]) offset ", each["expr"])] == []


def test_what_a_process_counts_first_is_new_although_the_one_before_counted_it() -> None:
    """A series that was there before hides what is counted first only if it is of the process that
    counts: who repeats an error after a restart is told of it.
    """
    rules = [rule for rule in RULES if re.search(r"\bunless last_over_time\b", rule["expr"])]
    assert rules
    same = "process_start_time_seconds == process_start_time_seconds @ end()"
    assert [each["alert"] for each in rules if same not in each["expr"]] == []


def test_who_is_there_for_moments_is_missed_where_targets_go_with_their_process() -> None:
    """A name that leads nowhere has no target, so that `up` tells nothing of that time: it counts
    as time without a process.
    """
    rules = [each["expr"] for each in RULES if re.search(r"avg_over_time.*max\(", each["expr"])]
    assert len(rules) == 2
    assert [each for each in rules if "or vector(0))[" not in each] == []


def test_what_is_matched_occurs() -> None:
    """A value that a rule or a panel asks for is one that its label has."""
    payments = payment_service_pb2.DESCRIPTOR.services_by_name["PaymentService"]
    calls = {kind.name.lower() for kind in model.Kind} | {"get_operation"}
    loads = {each.value for each in loading.Outcome}
    values = {
        ("payhub_rpc_requests_total", "code"): {code.name for code in grpc.StatusCode},
        ("payhub_rpc_seconds_bucket", "method"): {each.full_name for each in payments.methods},
        ("payhub_operations_open", "state"): {each.name.lower() for each in model.OPEN_STATES},
        ("payhub_provider_calls_total", "outcome"): {each.value for each in outcomes.Outcome},
        ("payhub_provider_calls_total", "call"): calls,
        ("payhub_plugin_load_seconds_bucket", "outcome"): loads,
        ("payhub_plugin_load_seconds_count", "outcome"): loads,
        ("payhub_webhooks_worked_total", "state"): {each.name.lower() for each in webhooks.State},
        ("payhub_gateway_webhook_attempts_total", "outcome"): {"2xx"},
        ("payhub_gateway_events_published_total", "outcome"): {"appended"},
        ("payhub_email_notifier_mails_total", "outcome"): {"parked"},
    }
    jobs = {job["job_name"] for job in SCRAPED["scrape_configs"]}
    panels = [
        target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())
    ]
    for expression in [*(rule["expr"] for rule in RULES), *panels]:
        for selector in selectors(VARIABLE.sub("1m", expression)):
            for each in selector.matchers.matchers:
                known = jobs if each.name == "job" else values[str(selector.name), each.name]
                for wanted in each.value.split("|"):
                    assert any(re.fullmatch(wanted, one) for one in known), (expression, wanted)


def test_every_runbook_is_a_section_of_a_page() -> None:
    """A link leads to a heading that exists and that has a text."""
    missing = []
    for rule in RULES:
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        parts = re.split(r"^#+ (.+)$", (ROOT / page).read_text(), flags=re.MULTILINE)
        sections = {
            re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-"): text.strip()
            for title, text in zip(parts[1::2], parts[2::2], strict=True)
        }
        if not sections.get(anchor):
            missing.append((rule["alert"], rule["annotations"]["runbook"]))
    assert missing == []


def test_the_dashboard_asks_for_what_exists(series: dict[str, set[str]]) -> None:
    """Panels have units, a text and an id of their own, ask the source that a variable names,
    and do not overlap.
    """
    (variable,) = DASHBOARD["templating"]["list"]
    assert (variable["type"], variable["name"]) == ("datasource", "datasource")
    source = {"type": "prometheus", "uid": "${datasource}"}
    (annotation,) = DASHBOARD["annotations"]["list"]
    assert problems(annotation["expr"], series) == []
    assert annotation["datasource"] == source
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    wrong = []
    for panel in panels:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
        if panel["type"] == "row":
            continue
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"] == source
        for target in panel["targets"]:
            assert target["datasource"] == source
            wrong += [f"{panel['title']}: {each}" for each in problems(target["expr"], series)]
    assert wrong == []


def test_every_process_of_the_compose_files_is_scraped() -> None:
    """By its name there and its HTTP port, and nothing else is."""
    scraped = {}
    for job in SCRAPED["scrape_configs"]:
        (found,) = job["dns_sd_configs"]
        assert found["names"] == [job["job_name"]]
        scraped[job["job_name"]] = found["port"]
    serving = {}
    for variant in check_compose.VARIANTS:
        for name, service in check_compose.load(variant)["services"].items():
            if "build" in service and "healthcheck" in service:
                settings = check_compose.SETTINGS[service["command"][0]]
                serving[name] = settings.model_fields["http_port"].default
    assert scraped == serving
    assert [(MONITORING / each).is_file() for each in SCRAPED["rule_files"]] == [True]


def test_the_page_lists_every_metric_and_no_other(
    metrics: Mapping[str, set[exposed.Metric]],
) -> None:
    """With the processes that show it, its type and its labels, as in the registries."""
    page = pathlib.Path(ROOT / "docs" / "metrics.md").read_text()
    told: dict[str, set[exposed.Metric]] = {name: set() for name in metrics}
    rows = list(ROW.finditer(page))
    assert len(rows) == page.count("\n| `payhub_")
    for row in rows:
        labels = re.findall(r"`(\w+)`", row["labels"])
        assert labels or row["labels"] == "none"
        for process in row["processes"].split(", "):
            told[process].add(exposed.Metric(row["name"], row["type"], tuple(labels)))
    assert told == metrics


def test_every_metric_is_on_the_dashboard_or_in_a_rule(
    metrics: Mapping[str, set[exposed.Metric]],
) -> None:
    """What nobody looks at is named here, with those who read it otherwise."""
    unused = {
        # Which of several streaming methods is open; the gateway's own gauges say more.
        "payhub_rpc_streams",
        # Told beside the sequence, for who compares it with the gateway's clock.
        "payhub_audit_accepted_seconds",
        # What crashes and moves brought again; nothing is wrong with it.
        "payhub_audit_duplicates_total",
    }
    asked = (MONITORING / "alerts.yml").read_text() + json.dumps(DASHBOARD)
    names = {metric.name for metric in set[Any]().union(*metrics.values())}
    assert {name for name in names if not re.search(rf"\b{name}(_bucket)?\b", asked)} == unused
