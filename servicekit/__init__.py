"""Process plumbing shared by every deployable: settings, logs, errors, RPC pipeline, server.

Owns nothing of the business. Called by services and the provider SDK; never
imports a contract (`payhub.*`) or a service.
"""
