"""The two folders in which public files may lie on this machine, each named by a variable."""

import os
from pathlib import Path

import pooch

from perturbook.errors import ConfigError

MIRROR = "PERTURBOOK_MIRROR"
CACHE = "PERTURBOOK_CACHE"


def cache_folder() -> Path:
    """Where downloads are kept: the folder named by `PERTURBOOK_CACHE`, or this user's cache folder."""
    return Path(os.environ.get(CACHE) or pooch.os_cache("perturbook")).expanduser()


def mirror_folder() -> Path | None:
    """The offline folder named by `PERTURBOOK_MIRROR`; None where the variable is not set.

    Raises:
        ConfigError: the variable names something that is not a folder.
    """
    named = os.environ.get(MIRROR)
    if not named:
        return None
    folder = Path(named).expanduser()
    if not folder.is_dir():
        raise ConfigError(f"{MIRROR} is {named!r}, which is not a folder. Correct it or unset it.")
    return folder
