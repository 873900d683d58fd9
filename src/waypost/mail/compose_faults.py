"""What is said of parts that make no message: which part, what is wrong, what to do."""

from __future__ import annotations


class InvalidMessage(ValueError):
    """The parts make no message: `field` is the part as its caller names it, `problem` says what is
    wrong with it (with the evidence), `advice` what to do."""

    def __init__(self, field: str, problem: str, advice: str = "") -> None:
        self.field = field
        self.problem = problem
        self.advice = advice
        super().__init__(f"{field}: {problem}{f'; {advice}' if advice else ''}")

    def __reduce__(self) -> tuple[type[InvalidMessage], tuple[str, str, str]]:
        return type(self), (self.field, self.problem, self.advice)
