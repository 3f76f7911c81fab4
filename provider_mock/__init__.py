"""A simulated payment service provider with its own durable ledger.

`scenarios` decides what happens, `books` and `ledger` do it, `oracle` says what
was done. Runs as `python -m provider_mock`. Never imports a service of Payhub.
"""
