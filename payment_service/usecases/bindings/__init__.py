"""Bindings: each tenant's configuration and secrets at each plugin, checked and versioned.

Called by the API, by the fleet when it configures an instance, and at start. Secrets are
opened here and nowhere else. The payment path reads the catalog and nothing of this.
"""
