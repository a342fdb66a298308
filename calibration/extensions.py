"""How other packages add formats, detectors and the like: one table by name, one entry-point group."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol, TypeVar
from warnings import warn

from calibration.errors import InvalidValueError, SuiteWarning

__all__ = ["Named", "Registry", "collect", "named"]


class Named(Protocol):
    """What has a name to be found by."""

    @property
    def name(self) -> str:
        """The name on the command line and in files."""


Kind = TypeVar("Kind", bound=Named)


class Registry(Mapping[str, Kind]):
    """What is built in, then what installed packages add, by name.

    Other packages are looked at when something is first asked of it, not when the module that holds it is imported.

    Args:
        kind: of all that is in it.
        group: of the entry points by which packages add to it.
        built_in: what is there in any case, in this order.

    Raises:
        InvalidValueError: at the first use, see `collect`.
    """

    def __init__(self, kind: type[Kind], group: str, built_in: Iterable[Kind]) -> None:
        self.kind = kind
        self.group = group
        self._built_in = tuple(built_in)

    @cached_property
    def _all(self) -> Mapping[str, Kind]:
        return collect(self.kind, self._built_in, entry_points(group=self.group))

    def __getitem__(self, name: str) -> Kind:
        return self._all[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def __repr__(self) -> str:
        return f"Registry({', '.join(self)})"


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
