"""Read one object from an R data file (.rda), without R."""

import lzma
import warnings
import zlib
from pathlib import Path
from typing import Any

from perturbook.errors import InputError

BROKEN = (
    AssertionError,
    EOFError,
    IndexError,
    KeyError,
    NotImplementedError,
    OSError,
    TypeError,
    UserWarning,
    ValueError,
    lzma.LZMAError,
    zlib.error,
)
"""What the reader raises on bytes that are cut, changed or of another format; it has no error of its own."""


def read_rda(path: Path, name: str, kind: type) -> Any:
    """The object `name` of the file at `path`: a data frame as DataFrame, a sparse matrix as its slots.

    Raises:
        InputError: the file is cut or no .rda file, holds no object of this name, or holds another kind of object.
    """
    import rdata  # slow to import, and this file is imported with its room
    from rdata.conversion import DEFAULT_CLASS_MAP, dataframe_constructor

    classes = {
        **DEFAULT_CLASS_MAP,
        "tbl_df": dataframe_constructor,
        "dgCMatrix": lambda slots, attributes: slots,
    }
    again = "Move it away and fetch it again."
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # it guesses a format, or does not know a class
            objects = rdata.read_rda(path, constructor_dict=classes)
    except BROKEN as error:
        raise InputError(
            f"{path} cannot be read as an R data file: it is cut, damaged or of another format "
            f"({type(error).__name__}: {error}). {again}"
        ) from error
    if name not in objects:
        raise InputError(
            f"{path} holds no R object {name!r}, only {', '.join(map(repr, objects)) or 'nothing'}. {again}"
        )
    if not isinstance(objects[name], kind):
        raise InputError(
            f"{path}: the R object {name!r} came out as {type(objects[name]).__name__}, expected {kind.__name__}. {again}"
        )
    return objects[name]
