"""The reference subscribers: processes that follow the event log and do something with it.

Each is a package of its own that is deployed alone and reaches the gateway only through
`payhub_client`, as anybody's would. None knows another; no service imports them. What they
share with the services is `servicekit`.
"""
