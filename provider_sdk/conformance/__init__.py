"""Checks that a provider keeps the contract, from the outside and in any language.

`python -m provider_sdk.conformance` (or `payhub-conform`) runs them against an
address or a command; `pytest_plugin` makes each a pytest item. Never imports a
provider or a service of Payhub.
"""
