"""The error for bad input, which the user can correct."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

Entry = TypeVar("Entry")


class BadInput(ValueError):
    """An argument, file or option cannot be used.

    The message is one line: the subject, the reason, and the remedy. Parameters are in backticks in Python's notation,
    such as `force=True`; the command line shows --force instead.
    """

    def _render_traceback_(self) -> list[str]:
        """Return the message without a traceback: IPython calls this to show the error in a notebook."""
        return [str(self)]


def check_choices(options: Any) -> None:
    """Check the fields of a dataclass whose type is a ``Literal``.

    Raises:
        BadInput: a value is not among the choices.
    """
    for name, kind in get_type_hints(type(options)).items():
        literals = [each for each in (kind, *get_args(kind)) if get_origin(each) is Literal]  # itself, or in a union
        choices = [choice for each in literals for choice in get_args(each)]
        value = getattr(options, name)
        if choices and value not in {None, *choices}:
            raise BadInput(f'`{name}="{value}"`: choose from {", ".join(choices)}')


def entry_of(table: Mapping[str, Entry], name: str, what: str) -> Entry:
    """Return the entry of a table with this name.

    Raises:
        BadInput: there is none; the message begins with ``what``, and names all entries and the nearest.

    Examples:
        >>> entry_of({"ucf": 1, "dhf1k": 2}, "dhf", "kind 'dhf'")
        Traceback (most recent call last):
        tinyhd_lib.errors.BadInput: kind 'dhf': choose from ucf, dhf1k; dhf1k?
    """
    if name not in table:
        near = "".join(f"; {each}?" for each in get_close_matches(name, table, 1))
        raise BadInput(f"{what}: choose from {', '.join(table)}{near}")
    return table[name]


@contextmanager
def refusing(what: str, *kinds: type[Exception], remedy: str = "") -> Iterator[None]:
    """Convert errors of some kinds into `BadInput`: what is wrong, the reason in brackets, and the remedy, if any.

    Raises:
        BadInput: such an error was raised in the block.

    Examples:
        >>> with refusing("7x: no size", ValueError, remedy="give 7x5"):
        ...     int("x")
        Traceback (most recent call last):
        tinyhd_lib.errors.BadInput: 7x: no size (invalid literal for int() with base 10: 'x'); give 7x5
    """
    try:
        yield
    except kinds as error:
        why = getattr(error, "strerror", None) or first_line(error)
        raise BadInput(f"{what} ({why})" + (f"; {remedy}" if remedy else "")) from error


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, for a message of one line."""
    return str(error).strip().partition("\n")[0]
