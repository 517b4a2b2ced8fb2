"""The own-data chapter's wrong files are all refused, each in words of its own."""

import anndata
import pandas as pd
import pytest

from perturbook import data
from perturbook.errors import PerturbookError
from perturbook.pages import own_example


@pytest.fixture(scope="module")
def mine():
    source = data.load("simulated-drugs", size="small", expectation=False)
    obs = pd.DataFrame(
        {
            "treatment": source.obs["perturbation"].astype(str).replace("control", "DMSO"),
            "cell_line": source.obs["context"].astype(str),
            "dose_nM": 1000 * source.obs["dose_um"],
        }
    )
    return anndata.AnnData(X=source.X, obs=obs, var=source.var)


def test_the_chapter_s_file_is_read_under_its_own_column_names(mine, tmp_path):
    mine.write_h5ad(tmp_path / "mine.h5ad")
    cells = data.load(tmp_path / "mine.h5ad", columns=own_example.COLUMNS)
    source = data.load("simulated-drugs", size="small", expectation=False)
    assert (cells.obs["perturbation"].astype(str) == source.obs["perturbation"].astype(str)).all()
    assert cells.obs["dose_um"].to_numpy() == pytest.approx(source.obs["dose_um"].to_numpy())
    assert (cells.layers["lognorm"] != source.layers["lognorm"]).nnz == 0


def test_every_wrong_file_is_refused_in_words_of_its_own_without_a_path(mine, tmp_path):
    shown = own_example.refusals(mine, tmp_path).data
    assert shown.count("<tr>") == 1 + 6 and str(tmp_path) not in shown
    messages = shown.split("<code>")[1:]
    assert len(set(messages)) == 6


def test_a_wrong_file_that_were_accepted_would_stop_the_page(mine, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "load", lambda *args, **more: mine)
    with pytest.raises(PerturbookError, match="A wrong file was accepted: has no column"):
        own_example.refusals(mine, tmp_path)
