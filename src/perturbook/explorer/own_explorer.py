"""A reader's own explorer: from an .h5ad file to a folder that opens from the disk or from any static host.

Source: `concepts.md` section 8; what is asked of the file, our choice.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from anndata import AnnData, read_h5ad

from perturbook.concepts.encoder_of import BACKBONES, embeddings, encoder_of
from perturbook.concepts.gene_sets import Library
from perturbook.concepts.own_cells import LEAST
from perturbook.data.check_labels import names_unique
from perturbook.data.check_values import finite, non_negative
from perturbook.data.own_files import own_sha256, reading
from perturbook.data.own_labels import labels_of
from perturbook.data.own_values import Values, gene_symbols, recognise
from perturbook.data.schema import COUNT_KINDS, normalise
from perturbook.errors import ConfigError, DataUnavailable, InputError
from perturbook.explorer.atlas import write
from perturbook.explorer.make_atlas import make_atlas
from perturbook.explorer.recipe import LIBRARIES, RECIPES
from perturbook.explorer.site import write_site
from perturbook.explorer.subject import Subject, divided
from perturbook.whole import whole_folder

NAME = "own"


def own_explorer(
    file: Path | str,
    out: Path | str,
    labels: Sequence[str] = (),
    backbone: str = "small",
    embedding: str = "",
    seed: int = 0,
    overwrite: bool = False,
) -> Path:
    """Write an explorer of a reader's cells and the tables behind it.

    Args:
        file: .h5ad, left as it is; counts or log-normalised values, gene symbols or Ensembl ids with symbols beside them.
        out: folder to write: `index.html` with its files in `site/`, parquet tables in `tables/`.
        labels: columns of obs that are shown; counterfactuals agree with their prototype in the first.
        backbone: "small" or "scvi", which is trained on the reader's training cells.
        embedding: key of obsm to take apart instead; no gene can be asked then, since its encoder is not here.
        seed: of parts, map, training.
        overwrite: replace the folder.

    Returns:
        The page to open.

    Raises:
        ConfigError: the folder is there, or there is no such backbone. InputError: the file is no whole .h5ad, is too small, lacks
            a column, or its values cannot be recognised or embedded.
    """
    file, out = Path(file), Path(out)
    if out.exists() and not overwrite:
        raise ConfigError(f"{out} is there already; give another folder, or say --overwrite.")
    if backbone not in RECIPES:
        raise ConfigError(f"Unknown backbone {backbone!r} for an explorer. Known: {', '.join(BACKBONES)}.")
    given = _read(file, embedding)
    cells, lognorm, said = _values(given, labels)
    if embedding:
        encoder, z, width = None, np.ascontiguousarray(given.obsm[embedding], np.float32), embedding
        if z.ndim != 2 or not np.isfinite(z).all():
            raise InputError(f"obsm[{embedding!r}] must be finite numbers, cells by dimensions.")
    else:
        encoder = encoder_of(backbone, cells, divided(cells, labels, seed) == "train")
        z, width = embeddings(encoder, cells), BACKBONES[backbone]
    subject, recipe, libraries = (
        Subject(cells, lognorm, labels, z, encoder, seed),
        RECIPES[backbone],
        _libraries(),
    )
    notes = recipe.notes(subject) + [said]
    if not libraries:
        notes.append("Gene sets could not be had without a network, so no set was tested.")
    about = {
        "title": f"{width}, {file.name}",
        "backbone": embedding or backbone,
        "data": file.name,
        "simulated": False,
        "notes": notes,
        "manifest": {
            "data": {file.name: own_sha256(file)},
            "parameters": {"recipe": recipe.as_dict(), "seed": seed},
        },
    }
    atlas = make_atlas(NAME, about, subject, recipe, libraries)
    with whole_folder(out) as making:
        write(atlas, making / "tables")
        write_site([atlas], making / "site")
    return out / "site" / "index.html"


def _read(file: Path, embedding: str) -> AnnData:
    """The whole file, refused where no explorer can be made of it."""
    with reading(file):
        given = read_h5ad(file)
    names_unique(given)
    if given.n_obs < LEAST:
        raise InputError(f"{file} holds {given.n_obs} cells; an explorer needs {LEAST} or more.")
    if embedding and embedding not in given.obsm:
        raise InputError(f"obsm has no {embedding!r}. Embeddings: {', '.join(given.obsm) or 'none'}.")
    return given


def _values(given: AnnData, labels: Sequence[str]):
    """The cells as an encoder takes them, their log-normalised values, and what they were recognised as."""
    values, (symbols, _, told) = _recognised(given), gene_symbols(given)
    if values.value_kind == "log_intensity":
        raise InputError(
            "X holds log intensities of bulk profiles; an explorer is of cells, with counts or log1p of them."
        )
    if not symbols.is_unique:
        raise InputError(
            f"Gene symbol {symbols[symbols.duplicated()][0]!r} stands twice; sum or drop such genes first."
        )
    cells = AnnData(values.x, obs=given.obs[[]].copy())
    cells.var_names = symbols
    for label in labels:
        cells.obs[label] = labels_of(given, label, "a label").astype(str)
    lognorm = normalise(values.x, values.n_counts) if values.value_kind in COUNT_KINDS else values.x
    return cells, lognorm, f"{values.said}{told}"


def _recognised(given: AnnData) -> Values:
    """Values as `recognise` finds them; of declared log-normalised ones the depth, which it asks for, is not needed here."""
    if given.uns.get("value_kind") != "lognorm" or given.X is None:
        return recognise(given)
    finite(given)
    non_negative(given)
    x = sp.csr_matrix(given.X, dtype=np.float32)
    return Values(x, np.full(given.n_obs, np.nan), "lognorm", "X is log-normalised, as declared.")


def _libraries() -> list[Library]:
    try:
        return [Library.load(one) for one in LIBRARIES]
    except DataUnavailable:
        return []
