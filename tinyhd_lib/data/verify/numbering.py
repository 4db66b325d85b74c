"""Numbers in names, and those that are missing between them."""

import re
from collections.abc import Iterable
from itertools import pairwise


def last_number(name: str) -> int | None:
    """The number that a name ends with.

    Examples:
        >>> last_number("Diving-Side_001_017"), last_number("cover")
        (17, None)
    """
    found = re.search(r"\d+$", name)
    return int(found[0]) if found else None


def gaps(numbers: Iterable[int]) -> list[range]:
    """What is missing between the least and the greatest.

    Examples:
        >>> gaps([9, 1, 2, 5, 8])
        [range(3, 5), range(6, 8)]
    """
    return [range(one + 1, other) for one, other in pairwise(sorted(numbers)) if other - one > 1]


def spoken(numbers: range) -> str:
    """A run of numbers in words.

    Examples:
        >>> spoken(range(3, 4)), spoken(range(3, 6))
        ('3', '3 to 5')
    """
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
