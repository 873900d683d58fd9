"""What the people who run a relay have beside its mail: accounts and keys, an audit log, webhooks,
figures over time, a search.

It stands on `administration` (what can be asked of mail, and done to it) and knows no HTTP: the API
and the panel are faces over it.
"""
