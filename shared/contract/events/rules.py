"""The rules of a form (gói quy tắc): what a report must satisfy beyond single fields and sums, as an analyst writes it.

A rule says what must hold (`assert`, or DHIS2's `left`, `operator`, `right`), what follows where it does not, and what
to tell the reporter. Formulas are texts; validator compiles them and runs each rule's tests before it is published.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from shared.contract.events.base import Model
from shared.contract.events.fields import EACH_ONCE, Amount, Code, Day, Note, OptionalLabel, Reason, at_most
from shared.contract.events.verdicts import Tier

#: error returns the report; confirm accepts it and asks for an explanation; info tells something
RuleSeverity = Literal["error", "confirm", "info"]
#: what happens where a figure of the rule is blank; DHIS2's three strategies
MissingStrategy = Literal["skip_if_any_missing", "skip_if_all_missing", "never_skip"]
#: DHIS2's operators. compulsory_pair: both sides or neither; exclusive_pair: not both sides
RuleOperator = Literal[
    "equal_to", "not_equal_to", "greater_than", "greater_than_or_equal_to", "less_than", "less_than_or_equal_to",
    "compulsory_pair", "exclusive_pair",
]  # fmt: skip
RuleVerdict = Literal["accepted", "to_explain", "returned"]

MAX_RULES = 200
MAX_TESTS_OF_A_RULE = 20


def whole_number_as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


#: a figure or cell as a report sends it; a whole number may stand without quotes
GivenText = Annotated[str | None, BeforeValidator(whole_number_as_text)]
GivenFigures = dict[str, GivenText]


class RuleSide(Model):
    """One side of a rule in DHIS2's shape."""

    expression: Reason
    missing: MissingStrategy | None = None  # None: the rule's


class RuleTest(Model):
    """A report (only what the rules need of it), and what the rules say of it. `fires`: exactly these rules, by id."""

    name: OptionalLabel = ""
    figures: GivenFigures = Field(default_factory=dict)
    tables: dict[str, tuple[GivenFigures, ...]] = Field(default_factory=dict)
    previous: GivenFigures | None = None  # the accepted report of the period before; None: there is none
    year_ago: GivenFigures | None = None  # of the same period of the year before
    narratives: dict[str, str] = Field(default_factory=dict)
    reports: dict[str, GivenFigures] = Field(default_factory=dict)  # accepted ones under other regimes, by their code
    children: tuple[GivenFigures, ...] | None = None  # accepted ones of the agencies beneath; None: not all have come
    references: dict[str, tuple[GivenFigures, ...]] = Field(default_factory=dict)  # rows of reference tables, by code
    fires: Annotated[tuple[Code, ...], EACH_ONCE] = ()
    verdict: RuleVerdict = "accepted"


class PackRule(Model):
    """One rule of a form.

    `at`: the figure that the finding points to. `table`: the rule is asked of each row of that table; its columns in
    `row` name the row in the finding. `tolerance` is absolute, `tolerance_percent` of the right side; the larger holds.
    In messages `{[A01]}`, or any formula in braces, shows its value; `{provided}`, `{expected}`, `{difference}`.
    """

    # `assert` is a keyword of Python
    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True, validate_by_alias=True)

    id: Code
    tier: Tier
    severity: RuleSeverity
    table: Code | None = None
    row: Annotated[tuple[Code, ...], at_most(10), EACH_ONCE] = ()
    when: Reason = ""
    assert_: Reason = Field(default="", alias="assert")
    left: RuleSide | None = None
    operator: RuleOperator | None = None
    right: RuleSide | None = None
    tolerance: Amount = Field(default="0", validate_default=True)
    tolerance_percent: Amount = Field(default="0", validate_default=True)
    expected: Reason = ""
    at: Code | None = None
    missing: MissingStrategy = "skip_if_any_missing"
    message: Reason
    message_en: Reason
    fix: Reason
    fix_en: Reason
    legal_basis: Note = ""
    since: Day | None = None  # of periods that begin on or after this day
    until: Day | None = None
    tests: Annotated[tuple[RuleTest, ...], at_most(MAX_TESTS_OF_A_RULE)] = ()
