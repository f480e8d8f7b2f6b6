"""A preview's place among the rules of the shared listener: by its name's hash, the next free one if taken.

AWS refuses a second rule with a number, so the numbers of all previews are looked up first, in their tags.
Two that come up in the same instant may still choose one number: AWS then refuses the second, which chooses
anew and knows the first by then.
"""

from collections.abc import Iterable

LAST = 49_999
"""The next number is the base's own environment's."""


def choose(preferred: int, own: int | None, taken: Iterable[int]) -> int:
    """`own` as long as nobody else has it, otherwise the next free number from the `preferred` one on.

    Raises `LookupError` when there is none.
    """
    others = set(taken)
    if own is not None and own not in others:
        return own
    for step in range(LAST):
        number = (preferred - 1 + step) % LAST + 1
        if number not in others:
            return number
    raise LookupError("every priority of the listener is taken")


def in_use(message: str) -> bool:
    """Whether AWS has refused a rule for its number."""
    return "PriorityInUse" in message
