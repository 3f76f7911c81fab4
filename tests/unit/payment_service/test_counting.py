"""What is counted of calls to providers."""

from payment_service import settings
from payment_service.provider_client import counting
from servicekit import metrics


def test_a_call_that_takes_all_its_time_has_a_bucket() -> None:
    """Else whoever looks for slow providers sees them at the last bound, however slow they are."""
    registry = metrics.Metrics().registry
    longest_s = settings.Settings.model_fields["provider_timeout_s"].default
    counting.Metrics(registry).count("mock", "sale", "unknown", longest_s)
    (family,) = [each for each in registry.collect() if each.name == "payhub_provider_call_seconds"]
    holding = [each.labels["le"] for each in family.samples if each.value and "le" in each.labels]
    assert holding != ["+Inf"]
