"""Synthetic atlases for tests: random tables of the right form, with every odd case that an explorer must bear."""

import hashlib

import numpy as np
import pandas as pd

from perturbook.explorer.atlas import TABLES, Atlas

MARKUP = "<img src=x onerror=alert(1)>"
KINDS = ("B", "CD4T", "CD14+Mono", "NK", MARKUP)
GRID = (0.0, 0.0005, 0.002, 0.01, 0.02, 0.05, 0.1, 0.3)


def digits(values):
    """Four decimals, NaN kept."""
    return np.round(values, 4)


def small_atlas(name="planted", features=12, cells=120, seed=0, markup=True, genes=40, detailed=16) -> Atlas:
    """Feature 0 is active in every cell, 1 in none, 2 in cells of one kind only; 3 has no attribution; two are neurons at least.

    Features beyond the first `detailed` are copies of these under other uids, so that thousands are made quickly.
    """
    rng = np.random.default_rng(seed)
    kinds = np.array(KINDS if markup else (*KINDS[:4], "Dendritic"))
    places = digits(rng.normal(size=(2, cells)))
    table = {"cell": [f"cell-{one}" for one in range(cells)], "x": places[0], "y": places[1]}
    table |= {
        "part": rng.choice(["train", "validation", "test"], cells),
        "cell type": kinds[np.arange(cells) % 5],
    }
    table = pd.DataFrame(table | {"condition": np.where(np.arange(cells) % 2, "IFN-beta", "control")})
    neurons = max(2, features // 10)
    uids = [f"sae-{n}" for n in range(features - neurons)] + [f"neuron-{n}" for n in range(neurons)]
    made = min(features, detailed)
    codes = digits(np.where(rng.random((cells, made)) < 0.15, rng.random((cells, made)), 0))
    codes[:, 0] = digits(rng.random(cells) + 0.1)
    codes[:, 1] = 0
    codes[:, 2] = np.where(table["cell type"] == "NK", codes[:, 0], 0)
    names = [f"GENE{n}" for n in range(genes - 1)] + [f"{MARKUP}G" if markup else "ISG15"]
    parts = {one: [] for one in TABLES if one not in ("cells", "features")}
    rows = []
    for at, uid in enumerate(uids[:made]):
        row, found = _feature(rng, uid, codes[:, at], table, names, at not in (1, 3), markup)
        rows.append(row)
        others = [one for one in uids if one != uid][:6]
        found["near"] = {"other": others, "cosine": digits(np.sort(rng.random(len(others)))[::-1])}
        for one, part in found.items():
            parts[one].append(pd.DataFrame(part).assign(uid=uid))
    tables = {one: pd.concat(part) for one, part in parts.items()} | {"features": pd.DataFrame(rows)}
    tables = {one: _typed(_copied(of, uids, made), one) for one, of in tables.items()} | {"cells": table}
    about = {"title": f"Synthetic {name}", "backbone": "none", "data": "random numbers", "cells": cells}
    about |= {"genes": genes, "k": 3, "chance": 0.18, "labels": ["cell type", "condition"], "simulated": True}
    digest = hashlib.sha256(f"{name}{features}{cells}{seed}".encode()).hexdigest()
    return Atlas(
        name, {**about, "artefact_hash": digest, "notes": [f"Nothing here was measured {MARKUP}."]}, tables
    )


def _copied(table: pd.DataFrame, uids: list[str], made: int) -> pd.DataFrame:
    """Rows of the first features, and the same rows under the uids of the others; the last of these are the neurons."""
    found = [table]
    for start in range(made, len(uids), made):
        other = dict(zip(uids[:made], uids[start : start + made], strict=False))
        found.append(table.assign(uid=table["uid"].map(other)).dropna(subset="uid"))
    copied = pd.concat(found)
    if "number" in copied:
        parts = copied["uid"].str.split("-")
        copied = copied.assign(arm=parts.str[0], number=parts.str[1])
    return copied


def _feature(rng, uid, codes, cells, names, attributed, markup):
    active = np.flatnonzero(codes)
    row = {"uid": uid, "arm": uid.split("-")[0], "number": int(uid.split("-")[1]), "active": len(active)}
    row |= {
        "status": "attributed" if attributed else "active in 4 of 90 training cells; attribution needs 10"
    }
    row |= {
        "share": len(active) / len(codes),
        "largest_code": codes.max(),
        "mean_code": codes[active].mean() if len(active) else np.nan,
    }
    row |= {
        "label": "cell type",
        "value": KINDS[4] if markup else "NK",
        "f1": digits(rng.random()),
        "stability": digits(rng.random()),
    }
    row |= {"ranked_by": "relative" if attributed else "", "tested": len(names) if attributed else 0}
    for one in ("overtaken", "completeness", "null_cutoff", "null_share"):
        row[one] = digits(rng.random()) / (20 if one == "null_cutoff" else 1) if attributed else np.nan
    row["terms"] = 2 if attributed else 0
    made = {"codes": {"cell": active, "code": codes[active]}, "groups": _groups(codes, cells)}
    order = np.argsort(-codes, kind="stable")[: min(8, len(active))]
    made["examples"] = {"stratum": ["top"] * len(order), "cell": order, "code": codes[order]}
    silent = int(np.argmin(codes)) if attributed else -1
    made["examples"] |= {
        "counterfactual": silent,
        "distance": 0.31 if attributed else np.nan,
        "differing": 12 if attributed else 0,
    }
    for stratum in ("middle", "random"):
        more = pd.DataFrame(
            {
                "stratum": stratum,
                "cell": active[:3],
                "code": codes[active[:3]],
                "counterfactual": -1,
                "differing": 0,
            }
        )
        made["examples"] = pd.concat([pd.DataFrame(made["examples"]), more])
    if attributed:
        made |= _told(rng, names, order)
    return row, made


def _told(rng, names, order):
    scores = np.sort(digits(rng.random(len(names)) / 5))[::-1][:25]
    genes = {
        "gene": rng.permutation(names)[: len(scores)],
        "attribution": scores,
        "error": digits(scores / 8),
        "tested": 8,
        "same_sign": 1.0,
    }
    genes |= {
        "changed": 0.5,
        "removed": 0.25,
        "added": 0.25,
        "pre": digits(scores * 1.1),
        "de": digits(rng.normal(size=len(scores)) * 9),
    }
    counts = {"cutoff": GRID, "genes": [int((scores > one).sum()) for one in GRID]}
    term = MARKUP + "SET_INTERFERON_ALPHA"
    terms = {
        "by": ["attribution", "attribution", "de"],
        "library": "made-up",
        "term": [term, "SET_TWO", term],
        "nes": [1.9, 1.2, 1.4],
    }
    terms |= {"fdr": [0.0, 0.2, 0.03], "size": 18, "leading": ";".join(names[:6])}
    orders = np.repeat(["attribution", "DE", "expression", "random"], 4)
    curves = {"order": orders, "genes": [1, 5, 20, 100] * 4, "left": digits(rng.random(16))}
    swaps = {
        "cell": np.repeat(order, 3),
        "gene": list(names[-3:]) * len(order),
        "before": 3.0,
        "after": 0.0,
        "relative": 0.2,
    }
    return {"genes": genes, "cutoffs": counts, "terms": terms, "curves": curves, "swaps": swaps}


def _groups(codes, cells):
    rows = []
    for label in ("cell type", "condition"):
        for value, of in pd.Series(codes).groupby(cells[label]):
            low, mid, high = np.percentile(of[of > 0], [25, 50, 75]) if (of > 0).any() else [np.nan] * 3
            rows.append(
                (
                    label,
                    value,
                    len(of),
                    int((of > 0).sum()),
                    digits((of > 0).mean()),
                    digits(low),
                    digits(mid),
                    digits(high),
                )
            )
    return pd.DataFrame(rows, columns=[one for one in TABLES["groups"] if one != "uid"])


def _typed(table: pd.DataFrame, name: str) -> pd.DataFrame:
    kinds = {"str": object}
    return (
        table[list(TABLES[name])]
        .reset_index(drop=True)
        .astype({c: kinds.get(k, k) for c, k in TABLES[name].items()})
    )
