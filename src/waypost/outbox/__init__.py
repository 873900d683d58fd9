"""Mail that an application writes down in its own transaction, and that is delivered afterwards.

The row stands in the application's database, so it is there exactly when the order, the account or
the invoice that it belongs to is there (the "transactional outbox"). A worker, in the same process
or in another, takes it from there.
"""
