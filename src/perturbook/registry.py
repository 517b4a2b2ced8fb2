"""Registries: plain dictionaries filled by a decorator where the thing is defined."""

import importlib
import pkgutil
from collections.abc import Callable
from types import ModuleType
from typing import Any

from perturbook.errors import ConfigError


class Registry(dict[str, Any]):
    """A dictionary from name to entry that refuses a second entry and explains an unknown name.

    Args:
        kind: what an entry is called in messages, such as "model".
    """

    def __init__(self, kind: str):
        super().__init__()
        self.kind = kind

    def add(self, name: str, entry: Any) -> Any:
        """Enter `entry` under `name`; raises ConfigError where the name is taken."""
        if name in self:
            raise ConfigError(f"{self.kind} {name!r} is registered twice.")
        self[name] = entry
        return entry

    def register(self, name: str) -> Callable:
        """Decorator form of `add`: `@MODELS.register("no_change")`."""
        return lambda entry: self.add(name, entry)

    def __missing__(self, name: str) -> Any:
        raise ConfigError(f"Unknown {self.kind} {name!r}. Known: {', '.join(sorted(self))}.")


def import_files(package: ModuleType | Any) -> None:
    """Import every file of `package`, so that its decorators run and no second list must be kept; packages in it wait."""
    for module in pkgutil.iter_modules(package.__path__):
        if not module.ispkg:
            importlib.import_module(f"{package.__name__}.{module.name}")
