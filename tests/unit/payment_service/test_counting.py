"""What is counted of calls to providers, and of their loads."""

import prometheus_client

from payment_service import settings
from payment_service.provider_client import counting, loading
from servicekit import metrics


def told(registry: prometheus_client.CollectorRegistry, name: str) -> list[dict[str, str]]:
    """The labels of what is not 0 of one metric."""
    (family,) = [each for each in registry.collect() if each.name == name]
    return [each.labels for each in family.samples if each.value]


def test_a_call_that_takes_all_its_time_has_a_bucket() -> None:
    """Else whoever looks for slow providers sees them at the last bound, however slow they are."""
    registry = metrics.Metrics().registry
    longest_s = settings.Settings.model_fields["provider_timeout_s"].default
    counting.Metrics(registry).count("mock", "sale", "unknown", longest_s)
    holding = {each.get("le") for each in told(registry, "payhub_provider_call_seconds")}
    assert holding - {None, "+Inf"}


def test_durations_are_told_by_what_came_of_the_call() -> None:
    """A look-up that is not answered takes all its time: it says nothing of those that are."""
    registry = metrics.Metrics().registry
    counted = counting.Metrics(registry)
    for outcome, seconds in (("succeeded", 0.1), ("declined", 0.2), ("unknown", 30.0)):
        counted.count("mock", "sale", outcome, seconds)
        labels = {"provider": "mock", "call": "sale", "outcome": outcome}
        sum_s = registry.get_sample_value("payhub_provider_call_seconds_sum", labels)
        assert sum_s == seconds


def test_loads_are_told_up_to_a_minute_and_forgotten_with_their_plugin() -> None:
    """Of the plugin that is gone alone; once it comes back it is counted from 0."""
    registry = metrics.Metrics().registry
    counted = counting.Metrics(registry)
    for outcome in loading.Outcome:
        counted.loaded("one", outcome, 59.0)
        counted.loaded("two", outcome, 59.0)
    found = told(registry, "payhub_plugin_load_seconds")
    assert {each["le"] for each in found if "le" in each} == {"60.0", "+Inf"}
    counted.forget("one")
    counted.forget("one")
    found = told(registry, "payhub_plugin_load_seconds")
    assert {(each["plugin"], each["outcome"]) for each in found} == {
        ("two", outcome.value) for outcome in loading.Outcome
    }
    counted.loaded("one", loading.Outcome.READY, 1.0)
    labels = {"plugin": "one", "outcome": "ready"}
    assert registry.get_sample_value("payhub_plugin_load_seconds_count", labels) == 1


def test_faults_are_told_of_so_many_versions_of_a_plugin() -> None:
    """A plugin that comes with ever new versions makes no ever new metrics; it takes them along
    when it goes.
    """
    registry = metrics.Metrics().registry
    counted = counting.Metrics(registry)
    for number in range(counting.FAULTY_VERSIONS_MAX + 5):
        counted.fault("one", "1.0.0")
        counted.fault("one", f"2.0.{number}")
    counted.fault("two", "1.0.0")
    name = "payhub_provider_contract_faults"
    versions = {each["version"] for each in told(registry, name) if each["provider"] == "one"}
    assert len(versions) == counting.FAULTY_VERSIONS_MAX
    assert {"1.0.0", f"2.0.{number}"} <= versions
    labels = {"provider": "one", "version": "1.0.0"}
    assert registry.get_sample_value(f"{name}_total", labels) == number + 1
    counted.forget("one")
    assert {each["provider"] for each in told(registry, name)} == {"two"}
