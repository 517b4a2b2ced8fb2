"""Concepts of a reader's own cells: embed, divide, train, measure beside plain dictionaries, write it down.

Source: `concepts.md` sections 3, 3.4 and 7; which plain dictionaries stand beside is our choice.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from anndata import AnnData, read_h5ad

from perturbook.concepts.concept_labels import Labelled, label_f1
from perturbook.concepts.dictionaries import fit_dictionary
from perturbook.concepts.dictionary import Dictionary
from perturbook.concepts.fidelity import quality
from perturbook.concepts.parts import SHARES, parts
from perturbook.concepts.sae_artifact import save_sae
from perturbook.concepts.sae_settings import SAESettings
from perturbook.concepts.topk_sae import TopKSAE
from perturbook.concepts.train_sae import TrainedSAE, train
from perturbook.data.own_files import reading
from perturbook.errors import ConfigError, InputError
from perturbook.whole import whole_folder

BESIDE = ("pca", "ica", "neurons", "random")
"""Dictionaries that are measured beside the autoencoder, with as many active concepts per cell."""
SETTINGS = SAESettings(passes=100, batch=256)
LEAST = 100
"""Cells below which nothing is trained. Our choice: a fifth of them would be too few to measure on."""
TIMES = 4
"""Latents per number of the embedding, where no width is asked for. Source: section 3.2."""


def file_concepts(
    file: Path | str, out: Path | str, embedding: str = "", backbone: str = "small", **options
) -> list[str]:
    """`own_concepts` of an .h5ad file; without an `embedding` its cells are embedded first, into a copy beside `out`.

    Returns:
        One line per step.

    Raises:
        InputError: the file is no whole .h5ad, or see `embed_file` and `own_concepts`. ConfigError: likewise.
    """
    from perturbook.models.backbones.embed_file import embed_file  # only where cells are embedded

    file, out, said = Path(file), Path(out), []
    _refuse_folder(out, options.get("overwrite", False))  # before an hour of embedding, not behind it
    if not embedding:
        with reading(file):
            before = set(read_h5ad(file, backed="r").obsm)
        copy = out.with_name(f"{out.name}-embedded.h5ad")
        said.append(
            embed_file(file, copy, backbone, progress=True, overwrite=options.get("overwrite", False))
        )
        file, new = copy, set(read_h5ad(copy, backed="r").obsm) - before
        embedding = new.pop()
    with reading(file):
        cells = read_h5ad(file)
    return [*said, own_concepts(cells, out, key=embedding, **options)]


def own_concepts(
    adata: AnnData,
    folder: Path | str,
    *,
    key: str,
    labels: Sequence[str] = (),
    width: int | None = None,
    k: int = 16,
    passes: int = SETTINGS.passes,
    seed: int = 0,
    overwrite: bool = False,
) -> str:
    """Train a Top-K autoencoder on the embedding of a reader's cells and write it with its measures; says so in one line.

    Cells are divided by `seed` into training, validation and test cells, within the values of the first label. Written are
    `sae/` (see `save_sae`), `parts.csv`, `quality.csv` (test cells; the autoencoder and `BESIDE`), `labels.csv` (the best
    concept for each value of each label, chosen on validation cells, reported on test cells) and `codes.parquet` (cell,
    concept and code, where the code is above zero).

    Args:
        adata: cells with `obsm[key]`, `(cells, d)`.
        folder: new, or overwritten knowingly.
        key: which embedding.
        labels: columns of obs.
        width: latents; four per number of the embedding where None.
        k: active latents per cell.
        passes: over the training cells.
        seed: of the parts, of first weights and of the order of cells.
        overwrite: replace the folder.

    Raises:
        ConfigError: the folder is there, or width, k or passes is impossible.
        InputError: there is no such embedding or column, too few cells, or a cell without an embedding.
    """
    folder, points = Path(folder), _points(adata, key)
    _refuse_folder(folder, overwrite)
    if unknown := [name for name in labels if name not in adata.obs]:
        raise InputError(f"obs has no column {unknown[0]!r}. Columns: {', '.join(adata.obs.columns)}.")
    values = {name: adata.obs[name].astype(str).to_numpy() for name in labels}
    part = parts(next(iter(values.values()), np.zeros(len(points), str)), seed)
    rows = {name: np.flatnonzero(part == name) for name in SHARES}
    sae = TopKSAE(points.shape[1], width or TIMES * points.shape[1], k, seed=seed)
    settings = replace(SETTINGS, passes=passes, batch=min(SETTINGS.batch, len(rows["train"])))
    made = train(sae, points, settings, cells=rows["train"], held_out=rows["valid"])
    arms: dict[str, Dictionary] = {"sae": made.sae}
    for name in BESIDE:
        arms[name] = fit_dictionary(name, points, cells=rows["train"], k=k, seed=seed)
    measured = pd.DataFrame(
        {"dictionary": name, "n_latents": one.n_latents, **quality(one, points, rows["test"]).as_row()}
        for name, one in arms.items()
    )
    told = [
        label_f1(Labelled(*(x for p in ("valid", "test") for x in (codes[rows[p]], one[rows[p]]))))
        .rename(columns={"label": "value"})
        .assign(dictionary=name, label=label)
        for name, codes in ((name, _codes(one, points)) for name, one in arms.items())
        for label, one in values.items()
    ]
    with whole_folder(folder) as making:
        _write(making, adata, key, points, part, made)
        measured.assign(gamma=made.gamma).to_csv(making / "quality.csv", index=False, na_rep="undefined")
        if told:
            pd.concat(told).to_csv(making / "labels.csv", index=False, na_rep="undefined")
    own, pca = measured.iloc[0], measured.set_index("dictionary").loc["pca"]
    return (
        f"{folder}: {sae.n_latents} concepts of {key}, {k} active per cell, from {len(rows['train']):,} training cells; on "
        f"{len(rows['test']):,} test cells explained variance {own['ev']:.3f} (PCA with as many active: {pca['ev']:.3f}), "
        f"{own['dead_eval']:.0%} of the concepts active in none of them."
    )


def _write(
    making: Path, adata: AnnData, key: str, points: np.ndarray, part: np.ndarray, made: TrainedSAE
) -> None:
    codes, names, about = _codes(made.sae, points), adata.obs_names.to_numpy(str), adata.uns.get(key, {})
    identity = about.get("identity") if isinstance(about, dict) else None
    save_sae(
        made.sae,
        making / "sae",
        encoder=key,
        encoder_sha256=str(identity or hashlib.sha256(points.tobytes()).hexdigest()),
        genes=adata.var_names,
        cells=names[part == "train"],
        settings=made.settings,
    )
    pd.DataFrame({"cell": names, "part": part}).to_csv(making / "parts.csv", index=False)
    cell, concept = np.nonzero(codes)
    table = pd.DataFrame({"cell": names[cell], "concept": concept, "code": codes[cell, concept]})
    table.to_parquet(making / "codes.parquet", index=False)


def _refuse_folder(folder: Path, overwrite: bool) -> None:
    if folder.exists() and not overwrite:
        raise ConfigError(f"{folder} is there already; give another folder, or say --overwrite.")


def _points(adata: AnnData, key: str) -> np.ndarray:
    if key not in adata.obsm:
        raise InputError(f"obsm has no {key!r}. Embeddings: {', '.join(adata.obsm) or 'none'}.")
    points = np.ascontiguousarray(adata.obsm[key], np.float32)
    if points.ndim != 2 or len(points) < LEAST:
        raise InputError(
            f"obsm[{key!r}] is {points.shape}; an autoencoder needs {LEAST} cells by numbers or more."
        )
    if bad := int((~np.isfinite(points)).any(axis=1).sum()):
        raise InputError(f"{bad:,} cells have no finite obsm[{key!r}]; leave them out of the file.")
    return points


@torch.no_grad()
def _codes(dictionary: Dictionary, points: np.ndarray) -> np.ndarray:
    return np.vstack([dictionary.encode(block).numpy() for block in torch.from_numpy(points).split(4096)])
