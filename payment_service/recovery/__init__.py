"""Recovery: a payment database restored from a back-up catches up with the event log.

Owns reading what the log tells of the time since the back-up and writing it down: payments,
refunds and customers whole, with the keys of the calls that made them; of all else how far it
is. Run by `python -m payment_service recover` while nothing else uses the database. Never sends
anything to a provider, and never changes the log.
"""
