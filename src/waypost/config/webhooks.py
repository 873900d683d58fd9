"""The section about webhooks: which addresses they may be sent to."""

from __future__ import annotations

from waypost.config.kinds import NetworkList
from waypost.config.section import Section, setting


class WebhooksSection(Section):
    """[webhooks]: where events may be sent. The webhooks themselves are set up in the panel or over
    the API."""

    allow: NetworkList = setting(
        (),
        "Networks that are no public ones and are asked all the same, over plain HTTP too; such as "
        '["127.0.0.1", "10.1.0.0/16"]. Others of that kind are refused, against requests forged '
        "into the inside of a network.",
    )
