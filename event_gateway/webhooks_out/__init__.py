"""Webhooks out: a tenant's events, sent to URLs over HTTP."""
