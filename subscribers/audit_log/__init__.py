"""Writes down every event in a file that can't be changed unnoticed.

Deployed as a process of its own, `python -m subscribers.audit_log`. Holds who did what to
which entity and a digest of the rest; never the payload, so that the gateway can still
erase what concerns a person.
"""
