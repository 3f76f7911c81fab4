"""The event gateway: keeps the event log, takes in events and streams them to readers.

A process of its own with a database of its own; see `event_gateway.gateway` for its
parts and `event_gateway.__main__` for its commands.
"""
