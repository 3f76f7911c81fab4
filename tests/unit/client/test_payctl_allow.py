"""What payctl does where a plugin's entry changes while it changes it."""

from typing import Any

import pytest
from payhub.admin.v1 import plugin_admin_service_pb2
from payhub.plugin.v1 import plugin_pb2

from payhub_client import errors, plugins
from tests.unit.client import shell

ARGUMENTS = ["plugins", "allow", "mock", "--priority", "7", "--reason", "r", "--json"]


class Core:
    """A plugin that changes before each of the next so many answers."""

    def __init__(self, changes: int) -> None:
        self.changes = changes
        self.revision = 1
        self.asked: list[plugin_pb2.PluginAllowance] = []

    async def get(self, plugin_id: str, **_: Any) -> Any:
        """Returns the entry as it is."""
        entry = plugin_pb2.PluginAllowance(
            plugin_id=plugin_id, version_specifier=f"=={self.revision}"
        )
        plugin = plugin_pb2.Plugin(revision=self.revision, allowance=entry)
        return plugin_admin_service_pb2.GetPluginResponse(plugin=plugin)

    async def allow(
        self, allowance: plugin_pb2.PluginAllowance, *, expected_revision: int, **_: Any
    ) -> plugin_pb2.Plugin:
        """Takes it, unless the plugin has changed meanwhile."""
        self.asked.append(allowance)
        if self.changes:
            self.changes -= 1
            self.revision += 1
        if expected_revision != self.revision:
            raise errors.StateConflict("changed", reason="STALE_GENERATION")
        return plugin_pb2.Plugin(revision=self.revision + 1, allowance=allowance)


def run(core: Core, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the command against *core*."""
    monkeypatch.setattr(plugins.Plugins, "get", lambda _, *a, **k: core.get(*a, **k))
    monkeypatch.setattr(plugins.Plugins, "allow", lambda _, *a, **k: core.allow(*a, **k))
    return shell.run(ARGUMENTS)


def test_what_is_asked_for_goes_onto_the_newest_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A change of a plugin's health in the same moment is nothing that an operator has to see."""
    core = Core(changes=2)
    told = run(core, monkeypatch)
    assert told.exit_code == 0, told.stderr
    assert [each.version_specifier for each in core.asked] == ["==1", "==2", "==3"]
    assert {each.priority for each in core.asked} == {7}


def test_a_plugin_that_always_changes_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command ends, with what to do."""
    core = Core(changes=100)
    told = run(core, monkeypatch)
    assert told.exit_code == 1
    assert "repeat the command" in told.stderr
    assert len(core.asked) == 5
