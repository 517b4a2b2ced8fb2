"""The GMT format: one gene set per line, tab-separated: name, description or address, gene symbols."""

from pathlib import Path

from perturbook.errors import InputError


def read_gmt(path: Path) -> dict[str, list[str]]:
    """Set name to its symbols in the order of the file; a repeated symbol is kept once.

    The second column is data and is not used. Symbols keep their case (`C19orf82` is a symbol).

    Raises:
        InputError: not UTF-8 text, no set at all, a line without name or symbols, an empty symbol, or a name twice.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: {error}.") from error
    sets: dict[str, list[str]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        name, *rest = line.rstrip("\t ").split("\t")
        symbols = rest[1:]
        where = f"{path}, line {number}"
        if not name.strip():
            raise InputError(f"{where}: the set has no name.")
        if not symbols:
            raise InputError(
                f"{where}: set {name[:60]!r} has no symbols; expected name, address and symbols by tabs."
            )
        if any(symbol != symbol.strip() or not symbol for symbol in symbols):
            raise InputError(f"{where}: set {name[:60]!r} has an empty symbol or one with spaces around it.")
        if name in sets:
            raise InputError(f"{where}: set {name!r} stands here a second time.")
        sets[name] = list(dict.fromkeys(symbols))
    if not sets:
        raise InputError(f"{path} holds no gene set.")
    return sets
