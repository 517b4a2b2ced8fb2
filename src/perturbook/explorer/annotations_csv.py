"""Annotations as CSV after RFC 4180, and back without loss; no field of it is a formula to a spreadsheet.

Text that begins with =, +, -, @, a tab or a carriage return would be computed by a spreadsheet, so that an apostrophe goes
before it; also where apostrophes stand before such a character already, because reading takes one away. Source: our choice.
"""

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from perturbook.errors import InputError
from perturbook.explorer.annotation_record import HEAD, LISTS, RECORD

COLUMNS = [*HEAD, *RECORD]
_FORMULA = re.compile("'*[=+@\t\r-]")
_WHOLE, _NUMBER = re.compile(r"-?\d{1,15}", re.ASCII), re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)


def text(head: Mapping[str, Any], records: Iterable[Mapping[str, Any]]) -> str:
    """A header and one row per record; every row begins with the fields of the file, in `HEAD`."""
    made = io.StringIO(newline="")
    writer = csv.writer(made)  # ends lines with CR LF, as the RFC says
    writer.writerow(COLUMNS)
    for record in records:
        writer.writerow(_written(value) for value in (*head.values(), *(record[name] for name in RECORD)))
    return made.getvalue()


def parse(text: str, name: str) -> dict[str, Any]:
    """What a JSON file of the same records holds. Values are not checked: what cannot be read as its kind stays text.

    Raises:
        InputError: it is no CSV, has other columns, no record, or rows of different files.
    """
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise InputError(f"{name} is no whole CSV file ({error}); export it again.") from error
    if not rows or rows[0] != COLUMNS:
        raise InputError(f"{name} must begin with the columns {', '.join(COLUMNS)}. Nothing was read.")
    if len(rows) == 1:
        raise InputError(
            f"{name} holds no record, and therefore not what it annotates; export it when you have annotated."
        )
    records, size = [], len(HEAD)
    for n, row in enumerate(rows[1:], 1):
        if len(row) != len(COLUMNS):
            raise InputError(
                f"{name}, record {n} has {len(row)} fields, not {len(COLUMNS)}. Nothing was read."
            )
        if row[:size] != rows[1][:size]:
            raise InputError(
                f"{name}, record {n} is of another file than record 1; a file holds one annotator and one atlas."
            )
        records.append({field: _read(field, one) for field, one in zip(RECORD, row[size:], strict=True)})
    head = {field: _read(field, one) for field, one in zip(HEAD, rows[1], strict=False)}
    return {**head, "pass": 1, "records": records}  # a CSV has no pass of its own


def _written(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return repr(value)
    value = ";".join(value) if isinstance(value, list) else value
    return f"'{value}" if _FORMULA.match(value) else value


def _whole(value: str) -> Any:
    return int(value) if _WHOLE.fullmatch(value) else value


def _number(value: str) -> Any:
    return float(value) if _NUMBER.fullmatch(value) else value


_KINDS: dict[str, Callable[[str], Any]] = {
    "schema_version": _whole,
    "confidence": lambda v: None if v == "" else _whole(v),
    "usefulness": lambda v: None if v == "" else _whole(v),
    "seconds": _number,
    "repeat_of": lambda v: _text(v) or None,
    "pass": _whole,
    "blind": lambda v: {"true": True, "false": False}.get(v, v),
    **dict.fromkeys(LISTS, lambda v: _text(v).split(";") if v else []),
}


def _text(value: str) -> str:
    return value[1:] if value.startswith("'") and _FORMULA.match(value) else value


def _read(field: str, value: str) -> Any:
    return _KINDS.get(field, _text)(value)
