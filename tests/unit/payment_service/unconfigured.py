"""Bindings of instances that nobody has to configure.

Owns saying so. Called by the tests of a client of one instance. Never gives a configuration.
"""

from payhub.plugin.v1 import plugin_service_pb2


class Bindings:
    """What a client asks for configurations."""

    def generation(self, tenant_id: str, plugin_id: str) -> int:
        """Returns always the same."""
        return 1

    async def configuration(
        self, binding_id: str, tenant_id: str, plugin_id: str, version: str
    ) -> tuple[int, plugin_service_pb2.BindingConfig]:
        """Fails the test."""
        raise AssertionError("nobody configures it")
