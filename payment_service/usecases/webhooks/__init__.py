"""What providers tell by webhook: kept, believed or not, and applied.

`receiving` takes a request, `verifying` asks the plugin about it, `applying` does what it
tells, `replaying` shows and repeats it. Called by the HTTP endpoint, the applier and the API.
"""
