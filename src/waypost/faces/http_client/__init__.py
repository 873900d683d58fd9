"""The client of the HTTP API: typed, from the same models as the API itself; `waypost.api`."""
