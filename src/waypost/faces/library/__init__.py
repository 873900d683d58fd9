"""The library: `waypost.send`, `waypost.Mailer` and `waypost.AsyncMailer`.

One engine, written once, carries messages (`engine`, `pool`, `errand`): over the same connections
(`delivery.courier`), openings, URLs and judgement as the relay's. `AsyncMailer` runs it in the
caller's event loop, `Mailer` in a loop of a thread behind (`background`).

Nothing here is durable: what a process has not yet sent ends with it. Mail that must survive that
goes through the outbox or a relay.
"""
