"""The Sender Policy Framework (RFC 7208): may this host send for that domain?

`record` reads a policy, `macros` expands what it refers to, `evaluation` answers for one host,
`survey` walks a policy without one, as its owner wants to see it. The DNS is asked through
`net.Resolver` alone, so the relay, which judges inbound mail, and the doctor share it.
"""

from waypost.sender_policy.evaluation import Sending, Verdict, evaluate
from waypost.sender_policy.record import MalformedPolicy, Policy, Result, parse_policy
from waypost.sender_policy.survey import Survey, survey

__all__ = [
    "MalformedPolicy",
    "Policy",
    "Result",
    "Sending",
    "Survey",
    "Verdict",
    "evaluate",
    "parse_policy",
    "survey",
]
