"""A mail server for tests: in the test's own process, on a free port of loopback.

    from waypost.testing import MailServer

    def test_a_buyer_is_thanked():
        with MailServer() as server:
            shop.checkout(smtp_host=server.host, smtp_port=server.port)
            message = server.wait_for(to="ann@example.org")
        assert message.subject == "Thank you"
        assert "Order 17" in message.text

What goes wrong is said by rules:

    server.fail(on="rcpt", recipient="*@slow.example", reply="450 4.7.1 Greylisted", times=1)
    server.fail(on="content", drop=True)

With pytest, the fixture `mailbox` is such a server, and WAYPOST_URL leads to it.
"""

from waypost.faults.rule import FaultRule, InvalidRule
from waypost.testing.received import ReceivedMessage
from waypost.testing.server import MailServer, NothingCame

__all__ = ["FaultRule", "InvalidRule", "MailServer", "NothingCame", "ReceivedMessage"]
