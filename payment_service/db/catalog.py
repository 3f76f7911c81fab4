"""The catalog: everything known of plugins, in one read.

Owns no table. Called by `usecases.catalog` every second, so bindings, of which there may
be many, are read again only where they changed.
"""

from dataclasses import replace

from payment_service.db import bindings, default_providers, instances, plugins, versions
from payment_service.domain import catalog
from payment_service.domain import plugins as model
from servicekit import storage


def load(conn: storage.Connection, previous: catalog.View) -> catalog.View:
    """Returns what is committed now; *previous* is the last view of the same database."""
    running: dict[str, tuple[model.Instance, ...]] = {}
    for instance in instances.load_all(conn):
        running[instance.plugin_id] = (*running.get(instance.plugin_id, ()), instance)
    return replace(
        previous,
        plugins=plugins.load_all(conn),
        versions=versions.load_all(conn),
        instances=running,
        bindings=bindings.load_heads(conn, previous.bindings),
        kills={(k.tenant_id, k.plugin_id, k.operation): k for k in plugins.kills(conn)},
        defaults=default_providers.load_all(conn),
    )
