"""Simulated providers that break one rule each, to prove the conformance checks.

`python -m tests.mutants` runs every check against its mutants; each must be
caught. Nothing of this is in any wheel or reachable from the product.
"""
