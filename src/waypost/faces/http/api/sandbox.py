"""The fault rules of the sandbox over the API: what is to go wrong for programs that are tested."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from waypost.control.permissions import Permission
from waypost.control.room import ControlRoom
from waypost.faces.http.api.models_sandbox import (
    MAXIMUM_NUMBER,
    FaultRuleForm,
    FaultRuleList,
    FaultRuleTold,
)
from waypost.faces.http.api_parts import refusals
from waypost.faces.http.problems import Problem, not_found, problem_type
from waypost.faces.http.security import Caller, api_caller
from waypost.faults.rule import FaultRule, InvalidRule
from waypost.faults.rules import NoSuchRule, RuleIsConfigured, RuleState, TooManyRules
from waypost.relay.sandbox_rules import NotInSandbox

Document = dict[str, Any]

router = APIRouter(
    prefix="/api/v1/sandbox", tags=["sandbox"], responses=refusals(400, 404, 408, 409, 413)
)

Reader = Annotated[Caller, api_caller(Permission.READ)]
Changer = Annotated[Caller, api_caller(Permission.SANDBOX)]
Number = Annotated[int, Path(ge=1, le=MAXIMUM_NUMBER, description="Of the rule.")]


def _room(request: Request) -> ControlRoom:
    room = request.app.state.room
    assert isinstance(room, ControlRoom)
    return room


@contextmanager
def _told() -> Iterator[None]:
    """What cannot be done, as a problem."""
    try:
        yield
    except NoSuchRule as fault:
        raise not_found(f"{fault}; it may have been removed, or the relay restarted") from fault
    except InvalidRule as fault:
        raise Problem(
            422, str(fault), title="The rule means nothing", type=problem_type("invalid-rule")
        ) from fault
    except (RuleIsConfigured, NotInSandbox, TooManyRules) as fault:
        raise Problem(409, str(fault), type=problem_type("rule-not-changed")) from fault


def rule_document(state: RuleState) -> Document:
    """A rule for people and programs."""
    rule = state.rule
    return {
        "number": state.number,
        "origin": "configuration" if state.is_configured else "api",
        "seen": state.seen,
        "struck": state.struck,
        **{name: getattr(rule, name) for name in FaultRuleForm.model_fields},
    }


@router.get("/rules", summary="List the fault rules", response_model=FaultRuleList)
async def list_rules(request: Request, _: Reader) -> Document:
    """In the order in which they are asked, with what each has met."""
    rules = _room(request).service.sandbox_rules
    return {"items": [rule_document(one) for one in rules.states], "followed": rules.may_act}


@router.post(
    "/rules", status_code=201, summary="Add a fault rule", response_model=FaultRuleTold
)  # fmt: skip
async def add_rule(request: Request, form: FaultRuleForm, caller: Changer) -> Document:
    """It comes behind those added before and in front of those of the configuration, and ends with
    the process."""
    room = _room(request)
    with _told():
        made = room.service.sandbox_rules.add(FaultRule(**form.model_dump()))
    await _record(room, caller, "fault rule added", made)
    return rule_document(made)


@router.get("/rules/{number}", summary="See a fault rule", response_model=FaultRuleTold)
async def see_rule(request: Request, number: Number, _: Reader) -> Document:
    """With what it has met."""
    with _told():
        return rule_document(_room(request).service.sandbox_rules.state(number))


@router.put("/rules/{number}", summary="Replace a fault rule", response_model=FaultRuleTold)
async def replace_rule(
    request: Request, number: Number, form: FaultRuleForm, caller: Changer
) -> Document:
    """In the same place; it begins anew. Rules of the configuration are changed there."""
    room = _room(request)
    with _told():
        made = room.service.sandbox_rules.replace(number, FaultRule(**form.model_dump()))
    await _record(room, caller, "fault rule replaced", made)
    return rule_document(made)


@router.delete(
    "/rules/{number}", status_code=204, summary="Remove a fault rule", response_class=Response
)  # fmt: skip
async def remove_rule(request: Request, number: Number, caller: Changer) -> None:
    """Rules of the configuration are changed there."""
    room = _room(request)
    with _told():
        gone = room.service.sandbox_rules.state(number)
        room.service.sandbox_rules.remove(number)
    await _record(room, caller, "fault rule removed", gone)


@router.delete(
    "/rules", status_code=204, summary="Remove all added fault rules", response_class=Response
)  # fmt: skip
async def clear_rules(request: Request, caller: Changer) -> None:
    """All but those of the configuration."""
    room = _room(request)
    room.service.sandbox_rules.clear()
    await room.audit.record(caller.name, "fault rules cleared", "", "")


@router.post("/rules/reset", summary="Let all rules begin anew", response_model=FaultRuleList)
async def reset_rules(request: Request, caller: Changer) -> Document:
    """Nothing seen, nothing struck, no rate used up."""
    room = _room(request)
    rules = room.service.sandbox_rules
    rules.reset()
    await room.audit.record(caller.name, "fault rules reset", "", "")
    return {"items": [rule_document(one) for one in rules.states], "followed": rules.may_act}


@router.post(
    "/rules/{number}/reset", summary="Let a rule begin anew", response_model=FaultRuleTold
)  # fmt: skip
async def reset_rule(request: Request, number: Number, caller: Changer) -> Document:
    """Nothing seen, nothing struck, no rate used up."""
    room = _room(request)
    with _told():
        room.service.sandbox_rules.reset(number)
        state = room.service.sandbox_rules.state(number)
    await _record(room, caller, "fault rule reset", state)
    return rule_document(state)


async def _record(room: ControlRoom, caller: Caller, action: str, state: RuleState) -> None:
    rule = state.rule
    does = rule.reply or ("drop" if rule.drop else f"a delay of {rule.delay:g} s")
    await room.audit.record(caller.name, action, str(state.number), f"{rule.on}: {does}")
