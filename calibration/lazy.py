"""Names of a package that are loaded when they are first used (PEP 562), so that importing it costs next to nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module

__all__ = ["lazy_names"]


def lazy_names(
    package: str, homes: Mapping[str, str], public: Iterable[str]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package.

    Type checkers and editors see the same names by imports under `TYPE_CHECKING`.

    Args:
        package: its name, `__name__` there.
        homes: by the name of what is loaded, the module in the package that has it.
        public: all names that the package offers, `__all__` there.
    """

    def load(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{homes[name]}"), name)

    return load, lambda: sorted(public)
