"""A reference subscriber: mails to payers about what happened to their money.

Owns the process `python -m subscribers.email_notifier`, a durable consumer of the gateway. Started
by operators. Never stores anything: its place is kept by the gateway, addresses by payment_service.
"""
