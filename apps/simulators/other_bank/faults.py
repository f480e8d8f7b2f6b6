"""What goes wrong at a bank when a test asks for it: slow, failing and lying, by path and number of times."""

import threading
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Lie = Literal[
    "another_customer",  # the id token speaks of somebody else
    "foreign_accounts",  # accounts that the consent does not cover are listed
    "foreign_key",  # answers are signed by a key that nobody publishes
    "wrong_nonce",  # the id token belongs to another request
    "fractions",  # amounts below a centavo
    "another_amount",  # a payment's answer has another amount than its order
    "stuck",  # payments stay where they are held for checks
    "refuse_payments",  # payments end as RJCT
]


class Fault(BaseModel):
    """One thing that goes wrong at paths that contain `path`: after `delay_seconds`, the answer `status` (if
    any), or an interaction id that is missing or changed. `times` is how often; absent means always."""

    model_config = ConfigDict(extra="forbid")

    path: str = ""
    method: str | None = None
    delay_seconds: Annotated[float, Field(ge=0, le=600)] = 0
    status: Annotated[int, Field(ge=400, le=599)] | None = None
    interaction: Literal["missing", "changed"] | None = None
    lose_answer: bool = False
    times: Annotated[int, Field(ge=1)] | None = None


class FaultPlan(BaseModel):
    """All that goes wrong at one bank."""

    model_config = ConfigDict(extra="forbid")

    faults: list[Fault] = []
    lies: set[Lie] = set()


class Faults:
    """The plan in force, counted down as it is used."""

    def __init__(self) -> None:
        self._plan = FaultPlan()
        self._lock = threading.Lock()

    def plan(self, plan: FaultPlan) -> None:
        """Replaces what goes wrong."""
        with self._lock:
            self._plan = plan.model_copy(deep=True)

    @property
    def current(self) -> FaultPlan:
        """What goes wrong from now on."""
        with self._lock:
            return self._plan.model_copy(deep=True)

    def lies(self, lie: Lie) -> bool:
        """Whether the bank tells this one."""
        return lie in self._plan.lies

    def next(self, method: str, path: str) -> Fault | None:
        """The fault that this request meets, used up by one."""
        with self._lock:
            for fault in self._plan.faults:
                if fault.path in path and fault.method in {None, method}:
                    if fault.times is not None:
                        fault.times -= 1
                    found = fault.model_copy()
                    # A count that is used up may not be zero in the model, so the fault goes.
                    self._plan.faults = [each for each in self._plan.faults if each.times != 0]
                    return found
        return None
