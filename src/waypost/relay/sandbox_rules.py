"""The fault rules of a running relay, and whether its listeners follow them.

Rules are for the sandbox: a relay whose mail goes on to real servers must not fail by a rule that
somebody has forgotten. So they act only while every route leads to the sandbox, unless the
configuration allows them beside real routes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import structlog

from waypost.delivery.chance import Chance
from waypost.faults.rule import FaultRule
from waypost.faults.rules import FaultRules, RuleState

if TYPE_CHECKING:
    from waypost.relay.listener import Listener

BESIDE_REAL_ROUTES = (
    "a route leads beyond the sandbox, so no fault rule is taken: real mail would fail by it. "
    "sandbox.allow_beside_real_routes in the configuration allows it"
)


class NotInSandbox(Exception):
    """Mail of this relay goes on to real servers, and nobody has allowed rules beside that."""


class SandboxRules:
    """See the module. It belongs to the event loop of the relay."""

    def __init__(
        self,
        chance: Chance,
        listeners: Sequence[Listener],
        only_sandbox: Callable[[], bool],
        *,
        allowed_beside_real_routes: bool,
    ) -> None:
        """`only_sandbox`: whether every route of this moment leads to the sandbox."""
        self._rules = FaultRules(chance)
        self._listeners = listeners
        self._only_sandbox = only_sandbox
        self._allowed = allowed_beside_real_routes
        self._log: structlog.stdlib.BoundLogger = structlog.get_logger("waypost.relay")

    @property
    def may_act(self) -> bool:
        """Whether rules are followed, if there are any."""
        return self._allowed or self._only_sandbox()

    @property
    def states(self) -> tuple[RuleState, ...]:
        """The rules in the order in which they are asked, with what each has met."""
        return self._rules.states

    def state(self, number: int) -> RuleState:
        """One of them. Raises NoSuchRule."""
        return self._rules.state(number)

    def configure(self, rules: Sequence[FaultRule], *, allowed_beside_real_routes: bool) -> None:
        """Take over what the configuration has; call it when routes or listeners have changed."""
        self._allowed = allowed_beside_real_routes
        self._rules.configure(rules)
        self._arm()
        if self._rules and not self.may_act:
            self._log.warning("fault rules are not followed", why=BESIDE_REAL_ROUTES)

    def add(self, rule: FaultRule) -> RuleState:
        """Add a rule until the process ends, before those of the configuration.

        Raises InvalidRule, NotInSandbox, TooManyRules.
        """
        self._require_sandbox()
        number = self._rules.add(rule)
        self._arm()
        return self._rules.state(number)

    def replace(self, number: int, rule: FaultRule) -> RuleState:
        """Put a rule in the place of another; it begins anew.

        Raises InvalidRule, NoSuchRule, NotInSandbox, RuleIsConfigured.
        """
        self._require_sandbox()
        self._rules.replace(number, rule)
        return self._rules.state(number)

    def remove(self, number: int) -> None:
        """Take a rule away. Raises NoSuchRule, RuleIsConfigured."""
        self._rules.remove(number)
        self._arm()

    def clear(self) -> None:
        """Take away all rules but those of the configuration."""
        self._rules.clear()
        self._arm()

    def reset(self, number: int | None = None) -> None:
        """Let one rule, or all, begin anew. Raises NoSuchRule."""
        self._rules.reset(number)

    def _require_sandbox(self) -> None:
        if not self.may_act:
            raise NotInSandbox(BESIDE_REAL_ROUTES)

    def _arm(self) -> None:
        """Listeners look at one attribute: None where nothing is to go wrong."""
        faults = self._rules if self._rules and self.may_act else None
        for listener in self._listeners:
            listener.faults = faults
