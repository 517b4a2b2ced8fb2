"""Score a reader's own predictions beside the floors of a page."""

from pathlib import Path

import pandas as pd

from perturbook.errors import InputError
from perturbook.evaluation import read_bundle, score, summarise
from perturbook.evaluation.bundle import MANIFEST, TRUTH, Bundle, read_prediction
from perturbook.pages.table import ROOT


def truth_folder(page: str) -> Path:
    """Folder of the page's bundle: that of the last build, else the deposit; raises InputError where neither exists."""
    places = [ROOT / "build" / "book" / "bundles" / page, *sorted((ROOT / "results" / page).glob("*"))]
    for folder in places:
        if (folder / TRUTH).is_file():
            return folder
    known = sorted(path.parts[-3] for path in (ROOT / "results").glob(f"*/*/{MANIFEST}"))
    raise InputError(
        f"Page {page!r} has no bundle. Name a page with --page; deposited: {', '.join(known) or 'none'}."
    )


def score_beside_floors(path: Path, page: str = "") -> tuple[pd.DataFrame, pd.DataFrame]:
    """Score a bundle folder, or one prediction file beside the predictions of its page.

    Args:
        path: folder of a bundle, or an .h5ad of conditions x genes (see `read_prediction`).
        page: page whose truth a single file is scored against.

    Returns:
        A short table, methods x metrics, "undefined (0 of N)" where it is, and the long table of `score`.

    Raises:
        InputError: the path or its content is not as it must be.
    """
    if path.is_dir():
        bundle = read_bundle(path)
        if page and page != bundle.truth.facts.get("page"):
            raise InputError(
                f"{path} is a bundle of page {bundle.truth.facts.get('page')!r}, not of {page!r}."
            )
    elif not path.exists():
        raise InputError(
            f"{path} does not exist. Give the folder of a bundle, or an .h5ad of conditions x genes."
        )
    elif not page:
        raise InputError(
            f"{path} is a single file: name the page it predicts with --page, as `perturbook list` shows it."
        )
    else:
        floors = read_bundle(truth_folder(page))
        bundle = Bundle(
            floors.truth, [read_prediction(path, floors.truth), *floors.predictions], floors.manifest
        )
    scores = score(bundle)
    return short_table(scores), scores


def short_table(scores: pd.DataFrame, metrics: list[str] | None = None) -> pd.DataFrame:
    """Methods x metrics as text: mean over the defined conditions, and how many they are where not all.

    Methods stand in the order of `scores`; those that do not apply on the page are left out, see `not_applicable`.
    """
    scores = scores[~scores["method"].isin(not_applicable(scores))]
    summary = summarise(scores, n=100)
    text = [
        f"undefined (0 of {row.n_total})"
        if not row.n_defined
        else f"{row.mean:.3f}"
        + (f" ({row.n_defined} of {row.n_total})" if row.n_defined < row.n_total else "")
        for row in summary.itertuples()
    ]
    wide = summary.assign(text=text).pivot(index=["method", "mode"], columns="metric", values="text")
    order = pd.MultiIndex.from_frame(scores[["method", "mode"]].drop_duplicates())
    return wide.reindex(index=order, columns=metrics or list(dict.fromkeys(scores["metric"])))


def not_applicable(scores: pd.DataFrame) -> dict[str, str]:
    """Reason per method that does not apply on the page."""
    reasons = scores.drop_duplicates("method").set_index("method")["reason"]
    reasons = reasons[reasons.str.startswith("not applicable: ")]
    return reasons.str.removeprefix("not applicable: ").to_dict()
