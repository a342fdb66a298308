"""How other packages add formats, detectors and the like: one table by name, one entry-point group."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint
from typing import Protocol, TypeVar
from warnings import warn

from calibration.errors import InvalidValueError, SuiteWarning

__all__ = ["Named", "collect", "named"]


class Named(Protocol):
    """What has a name to be found by."""

    @property
    def name(self) -> str:
        """The name on the command line and in files."""


Kind = TypeVar("Kind", bound=Named)


def collect(kind: type[Kind], built_in: Iterable[Kind], others: Iterable[EntryPoint]) -> dict[str, Kind]:
    """What is built in, then what entry points add, by name.

    One of another package that cannot be imported is left out with a SuiteWarning.

    Raises:
        InvalidValueError: two have the same name, or an entry point is not of that kind.
    """
    found = {known.name: known for known in built_in}
    for entry in others:
        try:
            added = entry.load()
        except (ImportError, AttributeError) as error:
            warn(f"{kind.__name__} '{entry.name}' ({entry.value}) left out: {error}", SuiteWarning, stacklevel=2)
            continue
        if not isinstance(added, kind):
            raise InvalidValueError(
                f"entry point '{entry.name}' of {entry.group}",
                expected=f"a {kind.__name__}",
                got=f"{entry.value}, a {type(added).__name__}",
                remedy="Correct or remove the package that adds it.",
            )
        if added.name in found:
            raise InvalidValueError(
                f"entry point '{entry.name}' of {entry.group}",
                expected=f"a {kind.__name__} with a name of its own",
                got=f"'{added.name}', which is already there",
                remedy=f"Rename it in {entry.value}, or remove that package.",
            )
        found[added.name] = added
    return found


def named(known: Mapping[str, Kind], name: str, subject: str) -> Kind:
    """What has that name.

    Args:
        known: by name.
        name: to look for.
        subject: what it is a name of, for the error.

    Raises:
        InvalidValueError: there is none.
    """
    if name not in known:
        raise InvalidValueError(
            subject, expected=f"one of {', '.join(known)}", got=f"'{name}'", remedy="Use one of these names."
        )
    return known[name]
