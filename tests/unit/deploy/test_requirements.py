"""Rules of what is installed into an image."""

import pytest

from deploy import requirements


def test_own_extras_are_resolved() -> None:
    """An extra that names others yields their requirements, each once."""
    extras = {
        "base": ["grpcio>=1", "protobuf>=7"],
        "store": ["sqlalchemy>=2"],
        "app": ["payhub[base,store]", "protobuf>=7", "iso4217"],
    }

    assert requirements.requirements(extras, "app") == [
        "grpcio>=1",
        "iso4217",
        "protobuf>=7",
        "sqlalchemy>=2",
    ]


@pytest.mark.parametrize("extra", ["payment-service", "event-gateway", "provider-mock"])
def test_every_deployable_resolves_to_packages_only(extra: str) -> None:
    """No image needs the project itself from an index, nor development tools."""
    needs = requirements.requirements(requirements.load_extras(), extra)

    assert any(need.startswith("grpcio") for need in needs)
    assert not [need for need in needs if need.startswith(("payhub", "pytest", "mypy", "ruff"))]
