"""Mirrored entities: kept here, made and changed at a provider, told by the provider.

Owns what each kind of them is, from payment methods to disputes, and what each snapshot of a
provider and each outcome of an operation does to them. Called by the use cases under the
entity's lock. Pure: no I/O, no clock, no ids of its own.
"""
