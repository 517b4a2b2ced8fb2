"""The explorer as a static site: whole or not at all, no server, no request outside its folder, also readable from disk.

Data lie in classic scripts that hand one value to the page, because a page opened from disk may not fetch files.
"""

import html
import json
import re
import shutil
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from perturbook.errors import InputError
from perturbook.explorer.atlas import TABLES, Atlas
from perturbook.explorer.charts import specs
from perturbook.explorer.runtime import runtime_script
from perturbook.whole import whole_folder

SHOWN = ("title", "backbone", "data", "artefact_hash", "cells", "genes", "k", "labels", "chance", "notes")
"""Entries of `about` that the page reads; `simulated` is the only one that may be missing."""
OF_FEATURE = [table for table in TABLES if table not in ("cells", "features")]
LEVEL = 0.05
"""FDR below which a term is found by search."""
LEADING = 4
"""Genes of a feature in the list."""


def write_site(atlases: Sequence[Atlas], folder: Path, home: str | None = None) -> Path:
    """Write a whole explorer.

    Args:
        atlases: in the order in which a reader chooses among them.
        folder: replaced as a whole.
        home: relative link back to the book, such as "../intro.html"; no link where None.

    Returns:
        Its `index.html`.

    Raises:
        InputError: there is no atlas, two have one name, a name, uid, hash or link is not plain, or a number is infinite.
    """
    _check(atlases, home)
    with whole_folder(folder) as making:
        with as_file(files("perturbook.explorer") / "static") as static:
            for path in sorted(static.iterdir()):
                shutil.copyfile(path, making / path.name)
        link = "" if home is None else f'<a class="home" href="{html.escape(home)}">Back to the book</a>'
        page = (making / "index.html").read_text(encoding="utf-8")
        _write(making / "index.html", page.replace("<!-- home -->", link))
        _write(making / "runtime.js", runtime_script())
        _write(making / "specs.js", f"explorer.specs = {_json(specs())};\n")
        (making / "data").mkdir()
        _write(making / "data" / "atlases.js", _call("", "atlases", [_brief(one) for one in atlases]))
        for atlas in atlases:
            _write_atlas(atlas, making / "data" / atlas.name)
    return Path(folder) / "index.html"


def _check(atlases: Sequence[Atlas], home: str | None) -> None:
    if not atlases:
        raise InputError("An explorer needs at least one atlas; none was given.")
    names = [atlas.name for atlas in atlases]
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}", name, re.ASCII):
            raise InputError(f"Atlas name {name!r} is not plain; use up to 64 letters, digits and hyphens.")
    if len({name.lower() for name in names}) < len(names):
        raise InputError(f"Two atlases have one name: {', '.join(names)}. Rename one of their folders.")
    if home is not None and (not home or re.search(r"[:\\\s]", home) or home.startswith("/")):
        raise InputError(f"Link {home!r} back to the book is not relative; give one such as '../intro.html'.")
    for atlas in atlases:
        _check_atlas(atlas)


def _check_atlas(atlas: Atlas) -> None:
    if missing := [one for one in SHOWN if one not in atlas.about]:
        raise InputError(f"Atlas {atlas.name} does not say its {', '.join(missing)}; make it again.")
    if not re.fullmatch("[0-9a-f]{64}", str(atlas.about["artefact_hash"])):
        raise InputError(f"Atlas {atlas.name} has no sha256 as artefact_hash; make it again.")
    uids, cells = atlas.tables["features"]["uid"], len(atlas.tables["cells"])
    for uid in uids:
        if not re.fullmatch(r"[a-z]{1,32}-[0-9]{1,9}", str(uid), re.ASCII):
            raise InputError(
                f"Feature {uid!r} of atlas {atlas.name} is not plain; expected one such as 'sae-12'."
            )
    if uids.duplicated().any():
        raise InputError(f"Feature {uids[uids.duplicated()].iloc[0]!r} stands twice in atlas {atlas.name}.")
    if lacking := [one for one in atlas.about["labels"] if one not in atlas.tables["cells"]]:
        raise InputError(f"Cells of atlas {atlas.name} lack the label {lacking[0]!r}; make it again.")
    for name in OF_FEATURE:
        table = atlas.tables[name]
        if len(unknown := table.loc[~table["uid"].isin(uids), "uid"]):
            raise InputError(
                f"Table {name} of atlas {atlas.name} names {unknown.iloc[0]!r}, which is no feature."
            )
        if "cell" in table and not table["cell"].between(0, cells - 1).all():
            raise InputError(
                f"Table {name} of atlas {atlas.name} names a cell beyond its {cells}; make it again."
            )


def _write_atlas(atlas: Atlas, folder: Path) -> None:
    folder.mkdir()
    features = atlas.tables["features"]
    about = {name: atlas.about[name] for name in SHOWN} | {"simulated": bool(atlas.about.get("simulated"))}
    listed = {"about": about, "features": _columns(features), "leading": _leading(atlas)}
    _write(folder / "list.js", _call(atlas.name, "list", listed))
    _write(folder / "cells.js", _call(atlas.name, "cells", _cells(atlas)))
    _write(folder / "find.js", _call(atlas.name, "find", _find(atlas)))
    tables = {name: atlas.tables[name] for name in OF_FEATURE}
    columns = {name: _columns(table.drop(columns="uid")) for name, table in tables.items()}
    places = {name: table.groupby("uid").indices for name, table in tables.items()}
    for uid in features["uid"]:
        rows = {
            name: {column: [values[at] for at in places[name].get(uid, ())] for column, values in of.items()}
            for name, of in columns.items()
        }
        _write(folder / f"{uid}.js", _call(atlas.name, uid, rows))


def _brief(atlas: Atlas) -> dict:
    held = {one: atlas.about[one] for one in ("title", "cells")}
    return {"name": atlas.name, **held, "features": len(atlas.tables["features"])}


def _cells(atlas: Atlas) -> dict:
    """Cells by column; a label as its values and the place of each cell's value among them."""
    table = atlas.tables["cells"]
    held = _columns(table[["cell", "x", "y", "part"]])
    labels = {}
    for label in atlas.about["labels"]:
        codes, values = pd.factorize(table[label].astype(str), sort=True)
        labels[label] = {"values": list(values), "of": codes.tolist()}
    return {**held, "labels": [{"name": name, **of} for name, of in labels.items()]}


def _leading(atlas: Atlas) -> list[str]:
    """The first genes of every feature by attribution, for the list; empty where none was attributed."""
    pre = atlas.tables["features"].set_index("uid")["ranked_by"] == "pre"
    genes = atlas.tables["genes"].dropna(subset="attribution")
    score = genes["pre"].where(genes["uid"].map(pre), genes["attribution"])
    first = genes.assign(score=score).sort_values(["score", "gene"], ascending=[False, True])
    first = first[first["score"] > 0].groupby("uid", sort=False).head(LEADING)
    names = first.groupby("uid")["gene"].agg(", ".join)
    return names.reindex(atlas.tables["features"]["uid"], fill_value="").tolist()


def _find(atlas: Atlas) -> dict:
    """For search: which features, by their place, have a gene among those shown, or a term with an FDR below `LEVEL`."""
    place = dict(zip(atlas.tables["features"]["uid"], range(len(atlas.tables["features"])), strict=True))
    terms = atlas.tables["terms"]
    named = {"genes": atlas.tables["genes"], "terms": terms[(terms["fdr"] < LEVEL) & (terms["nes"] > 0)]}
    found = {}
    for kind, table in named.items():
        by = table["uid"].map(place).groupby(table[kind[:-1]], sort=True).unique()
        found[kind] = {"name": list(by.index), "features": [sorted(of.tolist()) for of in by]}
    return found


def _columns(table: pd.DataFrame) -> dict[str, list]:
    """Values by column; NaN becomes null, because JSON has no word for what is undefined."""
    made = {}
    for name, column in table.items():
        if column.dtype.kind == "f" and np.isinf(column).any():
            raise InputError(f"Column {name} holds an infinite number; what is undefined must be NaN.")
        made[name] = column.astype(object).where(column.notna(), None).tolist()
    return made


def _call(atlas: str, key: str, value: Any) -> str:
    return f"explorer.receive({_json(atlas)},{_json(key)},{_json(value)});\n"


def _json(value: Any) -> str:
    """JSON that may stand in a script: no "<", which could end or open one, and no line separators of old scripts."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
