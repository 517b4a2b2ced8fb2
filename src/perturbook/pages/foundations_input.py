"""What a foundation model sees: cells from counts to bins to tokens, and what is lost on the way."""

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from IPython.display import HTML

from perturbook.data.schema import DEPTH
from perturbook.models.scgpt.binning import bin_edges
from perturbook.models.scgpt.tokens import tokenise
from perturbook.models.scgpt.vocabulary import Vocabulary
from perturbook.pages.foundations import label
from perturbook.pages.html_table import code, table

MARKERS = (
    *("LYZ", "CST3", "FCGR3A", "HLA-DRA", "CD3D", "CD8A", "MS4A1", "NKG7", "GNLY"),
    *("B2M", "FTL", "ISG15", "IFI6", "IFITM3", "CXCL10"),
)
"""Genes a reader may pick: of monocytes, T, B and NK cells, of every cell, and of the response to interferon. Our choice."""
NO_LIMIT = 10**6


def entries(cells: AnnData, vocabulary: Vocabulary, seed: int = 0) -> pd.DataFrame:
    """Every known gene that a cell expresses, one row each.

    Returns:
        Columns cell, label, gene, token, count, lognorm (log1p of counts per 10k), bin, and lowest and highest, the bins that
        other seeds could give this value.
    """
    ids = vocabulary.ids_of(cells.var_names)
    counts = sp.csr_matrix(cells.X)
    tokens = tokenise(counts, ids, cells.obs_names, vocabulary, seed=seed, max_length=NO_LIMIT)
    column = np.full(len(vocabulary), -1)
    column[ids[ids >= 0]] = np.flatnonzero(ids >= 0)
    frames = []
    for i, (token, bins) in enumerate(tokens):
        values = counts[i].toarray().ravel()[column[token[1:]]]
        edges = bin_edges(values)
        highest = np.searchsorted(edges, values, side="right")
        lowest = np.minimum(np.searchsorted(edges, values, side="left") + 1, highest)
        frame = pd.DataFrame({"token": token[1:], "count": values.astype(int), "bin": bins[1:].astype(int)})
        lognorm = np.log1p(DEPTH * values / cells.obs["n_counts"].iloc[i])
        frames.append(frame.assign(lowest=lowest, highest=highest, lognorm=lognorm, cell=cells.obs_names[i]))
    found = pd.concat(frames, ignore_index=True)
    names = pd.Series(label(cells.obs), index=cells.obs_names)
    return found.assign(
        gene=np.array(vocabulary.tokens, dtype=object)[found["token"]],
        label=found["cell"].map(names),
        perturbation=found["cell"].map(cells.obs["perturbation"].astype(str)),
    )


def by_count(found: pd.DataFrame, named: int = 6) -> pd.DataFrame:
    """Genes of a cell with one count and one bin together: how many, and the first few by name."""
    groups = found.sort_values("gene").groupby(["label", "count", "bin"])["gene"]
    several = groups.agg(genes="count", names=lambda genes: ", ".join(genes[:named])).reset_index()
    more = several["genes"] > named
    return several.assign(names=several["names"] + np.where(more, " and others", ""))


def markers(found: pd.DataFrame) -> pd.DataFrame:
    """The rows of `entries` of the genes a reader may pick; where none of `MARKERS` is there, of those most cells express."""
    names = [gene for gene in MARKERS if (found["gene"] == gene).any()]
    names = names or list(
        found["gene"].value_counts(sort=True).sort_index(kind="stable").nlargest(len(MARKERS)).index
    )
    return found[found["gene"].isin(names)]


def token_table(found: pd.DataFrame, vocabulary: Vocabulary, cell: str, shown: int = 6) -> HTML:
    """The first tokens of the cell with this label: `<cls>`, then the genes of highest bins."""
    own = found[found["label"] == cell].sort_values(["bin", "token"], ascending=[False, True])
    rows = [{"Token": code("<cls>"), "Id": vocabulary.cls, "Counts": "none", "Value the model reads": -2}]
    rows += [
        {
            "Token": code(row["gene"]),
            "Id": row["token"],
            "Counts": row["count"],
            "Value the model reads": row["bin"],
        }
        for row in own.head(shown).to_dict("records")
    ]
    return HTML(table(rows, f"{cell}: {len(own) + 1:,} tokens, of which {len(rows)} are shown"))


def losses(found: pd.DataFrame, again: pd.DataFrame) -> pd.Series:
    """What binning does to the cells of `found`, as medians over cells; `again` are the same cells under another seed.

    Returns:
        expressed (genes with a count), levels (distinct counts), ones (percent of expressed genes with one count), spanned
        (bins a count of one can take), free (percent of values whose bin a draw decides) and moved (percent of values in
        another bin under the other seed).
    """
    moved = found["bin"].to_numpy() != again["bin"].to_numpy()
    found = found.assign(
        moved=moved,
        free=found["highest"] > found["lowest"],
        one=found["count"] == 1,
        width=found["highest"] - found["lowest"] + 1,
    )
    cells = found.groupby("label")
    ones = found[found["one"]].groupby("label")["width"].max()
    return pd.Series(
        {
            "expressed": cells.size().median(),
            "levels": cells["count"].nunique().median(),
            "ones": 100 * cells["one"].mean().median(),
            "spanned": ones.median(),
            "free": 100 * cells["free"].mean().median(),
            "moved": 100 * cells["moved"].mean().median(),
        }
    )


def rescaled(cells: AnnData, vocabulary: Vocabulary, seed: int = 0) -> pd.DataFrame:
    """How many bins change where a cell is changed as a whole: share of values with another bin, per kind of change.

    All counts times three is the same cell to the model. Half of its molecules, drawn at random, is not: values that stay
    non-zero are ranked among fewer.
    """
    base = entries(cells, vocabulary, seed)
    times, half = cells.copy(), cells.copy()
    times.X = sp.csr_matrix(cells.X) * 3
    counts = sp.csr_matrix(cells.X)
    kept = np.random.default_rng(seed).binomial(counts.data.astype(int), 0.5).astype(np.float32)
    half.X = sp.csr_matrix((kept, counts.indices, counts.indptr), counts.shape)
    rows = []
    for name, changed in (("all counts times three", times), ("half of the molecules", half)):
        both = base.merge(entries(changed, vocabulary, seed), on=["cell", "token"], suffixes=("", "_changed"))
        rows.append(
            {
                "change": name,
                "kept": len(both) / len(base),
                "moved": (both["bin"] != both["bin_changed"]).mean(),
                "by": (both["bin"] - both["bin_changed"]).abs().median(),
            }
        )
    return pd.DataFrame(rows)


def widest_bin(found: pd.DataFrame) -> dict[str, str | int | float]:
    """Where one bin hides most: gene, bin, and the lowest and highest expression (log1p of counts per 10k) it holds.

    Among values that differ in expression and not in bin, of one gene, in different cells.
    """
    ends = found.groupby(["gene", "bin"])["lognorm"].agg(low="min", high="max").reset_index()
    widest = ends.loc[(ends["high"] - ends["low"]).idxmax()]
    return {
        "gene": str(widest["gene"]),
        "bin": int(widest["bin"]),
        "low": float(widest["low"]),
        "high": float(widest["high"]),
    }


def change_table(changed: pd.DataFrame) -> HTML:
    """`rescaled` for readers."""
    rows = [
        {
            "Change of the cell": row["change"],
            "Genes still expressed": f"{100 * row['kept']:.0f} %",
            "Of these in another bin": f"{100 * row['moved']:.0f} %",
            "Bins moved (median)": f"{row['by']:.0f}",
        }
        for row in changed.to_dict("records")
    ]
    return HTML(table(rows, "What the model notices"))


def similarities(cells: AnnData, key: str) -> pd.DataFrame:
    """Cosine between the unit vectors `obsm[key]` of every two cells: columns first, second, cosine."""
    names, points = label(cells.obs), np.asarray(cells.obsm[key], dtype=float)
    cosine = np.clip(points @ points.T, -1, 1).round(4)
    pairs = [(a, b, cosine[i, j]) for i, a in enumerate(names) for j, b in enumerate(names)]
    return pd.DataFrame(pairs, columns=["first", "second", "cosine"])


def kinship(similarity: pd.DataFrame) -> dict[str, float]:
    """Mean cosine of two cells of one type, of one condition, and of neither (`same_type`, `same_condition`, `other_type`)."""
    kind = (
        similarity["first"].str.rsplit(", ", n=1, expand=True),
        similarity["second"].str.rsplit(", ", n=1, expand=True),
    )
    type_, condition = (kind[0][part] == kind[1][part] for part in (0, 1))
    which = {
        "same_type": type_ & ~condition,
        "same_condition": ~type_ & condition,
        "other_type": ~type_ & ~condition,
    }
    return {name: float(similarity.loc[rows, "cosine"].mean()) for name, rows in which.items()}
