"""Data: a registry of public and simulated data sets, each prepared into one canonical schema and checked."""

import sys

from perturbook.data.backed import open_backed
from perturbook.data.dataset import DATASETS
from perturbook.data.fetch import available, checksum, fetch, verify
from perturbook.data.load import load
from perturbook.data.own import Columns
from perturbook.data.own_files import own_sha256
from perturbook.data.pseudobulk import Profiles, pseudobulk
from perturbook.data.schema import condition_key
from perturbook.data.validate import validate
from perturbook.registry import import_files

__all__ = [
    "DATASETS",
    "Columns",
    "Profiles",
    "available",
    "checksum",
    "condition_key",
    "fetch",
    "load",
    "open_backed",
    "own_sha256",
    "pseudobulk",
    "validate",
    "verify",
]

import_files(sys.modules[__name__])
