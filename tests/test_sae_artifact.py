"""A saved autoencoder comes back as it was, says what it stands on, and nothing else is taken for one."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from perturbook.concepts import SAESettings, TopKSAE, load_sae, save_sae
from perturbook.concepts.sae_artifact import CARD, CELLS, TENSORS, panel_sha256
from perturbook.errors import ConfigError, InputError

GENES, NAMES = ["ISG15", "MX1", "CD3D"], ["cell 1", "cell 2", "naïve-3"]
X = torch.randn(30, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def sae():
    made = TopKSAE(8, 20, 3, seed=5, batch_topk=True)
    made.mu.copy_(torch.arange(8.0))
    made.s.fill_(2.5)
    made.threshold.fill_(0.125)
    made.firing_counts.copy_(torch.arange(20))
    return made


@pytest.fixture
def saved(sae, tmp_path):
    facts = {"encoder": "small", "encoder_sha256": "ab12", "genes": GENES, "cells": NAMES}
    return save_sae(sae, tmp_path / "sae", settings=SAESettings(passes=7), **facts)


def test_what_is_loaded_is_what_was_saved(sae, saved):
    found = load_sae(saved, encoder_sha256="ab12")
    for name, tensor in sae.state_dict().items():
        assert torch.equal(found.sae.state_dict()[name], tensor), name
    assert torch.equal(found.sae.encode(X), sae.encode(X))
    assert (found.sae.k, found.sae.seed, found.sae.batch_topk) == (3, 5, True)
    assert found.cells == tuple(NAMES)
    assert found.card["settings"] == SAESettings(passes=7).as_dict()
    assert found.card["encoder"] == "small" and found.card["n_genes"] == 3
    assert found.card["gene_panel_sha256"] == panel_sha256(GENES) != panel_sha256(GENES[::-1])
    assert len(found.card["code"]["sha256"]) == len(found.identity) == 64


def test_one_without_a_threshold_comes_back_too(tmp_path):
    facts = {"encoder": "pca", "encoder_sha256": "", "genes": [], "cells": ["a"]}
    folder = save_sae(TopKSAE(4, 6, 2), tmp_path / "plain", **facts)
    assert torch.isnan(load_sae(folder).sae.threshold)


def test_a_folder_of_something_else_is_not_written_over(sae, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("words")
    facts = {"encoder": "small", "encoder_sha256": "", "genes": GENES}
    with pytest.raises(ConfigError, match="no saved autoencoder; give another folder"):
        save_sae(sae, tmp_path / "mine", cells=NAMES, **facts)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "words"
    for cells in (["a", "a"], ["a\nb"], [""]):
        with pytest.raises(ConfigError, match="unique, not empty, and of one line"):
            save_sae(sae, tmp_path / "new", cells=cells, **facts)
    assert not (tmp_path / "new").exists()


def rewritten(folder, **changes):
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps(card | changes))


def longer(folder):
    (folder / TENSORS).write_bytes((folder / TENSORS).read_bytes() + b"x")


def other_tensors(folder, change):
    tensors = load_file(folder / TENSORS)
    change(tensors)
    save_file(tensors, folder / TENSORS)
    from perturbook.data.trust import file_sha256

    card = json.loads((folder / CARD).read_text())
    rewritten(folder, sha256=card["sha256"] | {TENSORS: file_sha256(folder / TENSORS)})


def outside(folder):
    target = folder.parent / "elsewhere.txt"
    target.write_text("cell 1\n")
    (folder / CELLS).unlink()
    (folder / CELLS).symlink_to(target)


FOREIGN = {
    "no card": (lambda f: (f / CARD).unlink(), "no file sae.json of its own"),
    "no weights": (lambda f: (f / TENSORS).unlink(), "no file sae.safetensors of its own"),
    "a link that leads outside": (outside, "no file training_cells.txt of its own"),
    "a card that is no JSON": (lambda f: (f / CARD).write_text("{"), "is no JSON"),
    "a card of something else": (lambda f: (f / CARD).write_text('{"format": 9}'), "not the card of a saved"),
    "a card that lacks k": (lambda f: rewritten(f, k="3"), "lacks k, or has it of another type"),
    "an impossible k": (lambda f: rewritten(f, k=21), "describes no autoencoder: k is 21"),
    "a width beyond reason": (lambda f: rewritten(f, n_latents=10**12), "too many to be one"),
    "changed bytes": (longer, "not the one in sae.json; copy it again"),
    "changed names of cells": (lambda f: (f / CELLS).write_text("other\n"), "not the one in sae.json"),
    "a missing tensor": (lambda f: other_tensors(f, lambda t: t.pop("atoms")), "atoms differ"),
    "another shape": (lambda f: other_tensors(f, lambda t: t.update(mu=torch.zeros(9))), "mu differ"),
    "NaN": (lambda f: other_tensors(f, lambda t: t["bias"].fill_(torch.nan)), "bias differ"),
    "no safetensors": (lambda f: junk(f), "no whole safetensors file"),
}


def junk(folder):
    from perturbook.data.trust import file_sha256

    (folder / TENSORS).write_bytes(b"\x80\x04junk")
    card = json.loads((folder / CARD).read_text())
    rewritten(folder, sha256=card["sha256"] | {TENSORS: file_sha256(folder / TENSORS)})


@pytest.mark.parametrize("what", FOREIGN)
def test_foreign_and_damaged_files_are_refused(what, saved):
    spoil, message = FOREIGN[what]
    spoil(saved)
    with pytest.raises(InputError, match=message):
        load_sae(saved)


def test_one_of_another_encoder_is_refused(saved):
    with pytest.raises(InputError, match="trained on embeddings of small .ab12., not of cd34"):
        load_sae(saved, encoder_sha256="cd34")
    with pytest.raises(InputError, match="no file sae.json"):
        load_sae(saved / "nowhere")
