"""Plugins: letting them in, their life, their leases and versions, and what is seen of them.

Called by the API, by the fleet through hooks, and at start. Each change is one transaction
with a row of history and an event. The payment path reads the catalog and nothing of this.
"""
