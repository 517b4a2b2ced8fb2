"""What the page on zero-shot embeddings says in words and tables; who wins, and by how much, comes from the scores."""

import pandas as pd
from anndata import AnnData
from IPython.display import HTML, Markdown

from perturbook.evaluation.embedding_scores import SCORES
from perturbook.pages.foundations import conditions
from perturbook.pages.foundations_embeddings import CHANCE, OWN, SHORT, Arm
from perturbook.pages.html_table import Markup, items, join, table
from perturbook.pages.present import number

DEPTH = ("depth_r2", "depth_r2_within")


def score_table(found: pd.DataFrame, embedded: list[Arm], caption: str, depth: bool | None = None) -> HTML:
    """Embeddings x scores with intervals, only those of depth or only the others where `depth` says so; below it the
    backbones that do not apply."""
    shown, found = [], _of(found, depth)
    for title, rows in found.groupby("embedding", sort=False):
        cells = {SHORT[row["score"]]: _cell(row) for row in rows.to_dict("records")}
        shown.append({"Embedding": title, **cells})
    absent = [f"{arm.title}: {arm.reason}." for arm in embedded if arm.values is None]
    return HTML(table(shown, caption) + (f"<p>Not applicable here:</p>{items(absent)}" if absent else ""))


def difference_table(
    found: pd.DataFrame, embedded: list[Arm], caption: str, depth: bool | None = None
) -> HTML:
    """What `differences` found, one row per other embedding; `depth` as in `score_table`."""
    titles, shown = {arm.name: arm.title for arm in embedded}, []
    found = _of(found, depth)
    for other, rows in found.groupby("other", sort=False):
        cells = {SHORT[row["score"]]: _cell(row) for row in rows.to_dict("records")}
        shown.append({f"{titles[OWN]} minus": titles[other], **cells})
    return HTML(table(shown, caption))


def _of(found: pd.DataFrame, depth: bool | None) -> pd.DataFrame:
    return found if depth is None else found[found["score"].isin(DEPTH) == depth]


def _cell(row: dict) -> Markup:
    if pd.isna(row["mean"]):
        return Markup("undefined")
    bounds = "" if pd.isna(row["low"]) else f"[{number(row['low'], 2)}, {number(row['high'], 2)}]"
    return join(number(row["mean"], 2), Markup("<br><small>"), bounds, Markup("</small>"))


def winner(found: pd.DataFrame, differing: pd.DataFrame, where: str, score: str = "type_knn") -> Markdown:
    """One sentence: which embedding is best by `score`, and how the small checkpoint compares with it and with random weights."""
    rows = found[(found["score"] == score) & (found["name"] != CHANCE)].set_index("name")
    best, own = rows["mean"].idxmax(), rows.loc[OWN]
    title = SCORES[score].title.lower()
    text = f"**{where}, “{rows.loc[best, 'embedding']}” is best by {title}: {_said(rows.loc[best])}"
    if best != OWN:
        text += f"; “{own['embedding']}” has {_said(own)}"
    against = differing[differing["score"] == score].set_index("other")
    others = [name for name in dict.fromkeys((best, "random")) if name != OWN and name in against.index]
    for name in others:
        text += (
            f"; its paired difference from “{rows.loc[name, 'embedding']}” is {_verdict(against.loc[name])}"
        )
    return Markdown(text + ".**")


def _said(row: pd.Series) -> str:
    return f"{number(row['mean'])} [{number(row['low'])}, {number(row['high'])}]"


def _verdict(row: pd.Series) -> str:
    clear = "an interval without zero" if row["low"] > 0 or row["high"] < 0 else "an interval that holds zero"
    return f"{_said(row)}, {clear}"


def make_up(cells: AnnData) -> HTML:
    """Cells per type and condition."""
    counts = pd.crosstab(cells.obs["context"].astype(str), cells.obs["perturbation"].astype(str))[
        conditions(cells)
    ]
    rows = [{"Type": name, **row} for name, row in counts.to_dict("index").items()]
    return HTML(table(rows, f"{cells.n_obs:,} cells scored here"))


def best(found: pd.DataFrame, score: str) -> str:
    """Title of the embedding with the highest mean, the first of several."""
    rows = found[(found["score"] == score) & (found["name"] != CHANCE)]
    return str(rows.loc[rows["mean"].idxmax(), "embedding"])


def verdict(found: pd.DataFrame, differing: pd.DataFrame) -> Markdown:
    """How the small checkpoint compares with every other embedding, score by score, by whether the paired interval holds zero."""
    titles = dict(zip(found["name"], found["embedding"], strict=True))
    lines = []
    for score in ("type_knn", "type_knn_across", "silhouette", "condition_auroc"):
        rows = differing[differing["score"] == score].set_index("other")
        words = {
            "above": [titles[name] for name, row in rows.iterrows() if row["low"] > 0],
            "below": [titles[name] for name, row in rows.iterrows() if row["high"] < 0],
            "not told apart from": [
                titles[name] for name, row in rows.iterrows() if row["low"] <= 0 <= row["high"]
            ],
        }
        said = "; ".join(f"{word} {', '.join(names)}" for word, names in words.items() if names)
        if said:
            lines.append(f"- {SHORT[score]}: {said}.")
    return Markdown(f"Where “{titles[OWN]}” stands, by paired intervals:\n\n" + "\n".join(lines))


def depth_verdict(found: pd.DataFrame) -> Markdown:
    """Which embedding tells most, and which least, of depth within a type."""
    rows = found[(found["score"] == "depth_r2_within") & (found["name"] != CHANCE)].set_index("embedding")
    most, least = rows.loc[rows["mean"].idxmax()], rows.loc[rows["mean"].idxmin()]
    return Markdown(
        f"Within types “{most.name}” tells most of a cell's depth, {_said(most)}, and “{least.name}” least, {_said(least)}. "
        "Over all cells the values are higher where types differ in depth, which is no fault of an embedding that tells types."
    )


def hardest(found: pd.DataFrame) -> Markdown:
    """The types that every embedding finds hardest and easiest."""
    means = found.groupby("type")["value"].mean()
    low, high = means.idxmin(), means.idxmax()
    return Markdown(
        f"Averaged over embeddings, {low} is the hardest type ({number(means[low], 2)} of its cells are recognised) and {high} "
        f"the easiest ({number(means[high], 2)})."
    )
