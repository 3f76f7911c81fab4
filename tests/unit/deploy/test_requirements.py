"""Rules of what is installed into an image."""

import tomllib

import pytest

from deploy import check_compose, requirements


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


def test_images_are_built_from_every_package() -> None:
    """The build context leaves out what is not named, and a missing package is no error there."""
    project = tomllib.loads((check_compose.ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    kept = (check_compose.ROOT / ".dockerignore").read_text().splitlines()

    assert {f"!{package.partition('/')[0]}" for package in packages} <= set(kept)


@pytest.mark.parametrize(
    "extra", [module.rpartition(".")[2].replace("_", "-") for module in check_compose.SETTINGS]
)
def test_every_deployable_resolves_to_packages_only(extra: str) -> None:
    """No image needs the project itself from an index, nor development tools."""
    needs = requirements.requirements(requirements.load_extras(), extra)

    assert any(need.startswith("grpcio") for need in needs)
    assert not [need for need in needs if need.startswith(("payhub", "pytest", "mypy", "ruff"))]
