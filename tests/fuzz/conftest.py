"""A running relay with a sink behind it, for what cannot be seen without sockets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fuzz_target import Target

from relay_process import RelayProcess, free_port
from sink import Sink


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    sink = Sink()
    ports = {kind: free_port() for kind in ("relay", "submission", "submissions", "proxied")}
    sections = "".join(
        f'[[listener]]\naddress = "127.0.0.1:{port}"\n'
        + (f'kind = "{kind}"\n' if kind != "proxied" else 'proxy_from = "127.0.0.1"\n')
        for kind, port in ports.items()
    )
    relay = RelayProcess(
        tmp_path_factory.mktemp("fuzzed"),
        sections + f'[[route]]\nname = "out"\nvia = "smtp+plain://127.0.0.1:{sink.port}"\n',
    ).start()
    yield Target(relay, sink, ports)
    relay.stop()
    sink.close()
