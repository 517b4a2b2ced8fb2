"""`perturbook.concepts.TopKSAE` and its loss: values by hand, sparse against dense, and the mistakes others have made."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from small_book import ENVIRONMENT
from torch.nn import functional as F

from perturbook.concepts import TopKSAE, sae_loss
from perturbook.concepts.sae_loss import training_codes
from perturbook.errors import ConfigError, InputError, ShapeError

X = torch.tensor([[3.0, 1.0]])


def by_hand():
    """d = 2, m = 3, K = 1, decoder bias (1, 0), atoms (1, 0), (0, 1), (0.6, 0.8)."""
    sae = TopKSAE(2, 3, 1)
    with torch.no_grad():
        sae.bias.copy_(torch.tensor([1.0, 0.0]))
        sae.encoder.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]))
        sae.atoms.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]))
    return sae


def dead(*numbers, n=3):
    return torch.tensor([j in numbers for j in range(n)])


def wide(k=1):
    """d = 4, m = 6, so that k_aux is 2 by the width and would be 3 by the latents; no input activates latents 1 to 5."""
    sae = TopKSAE(4, 6, k)
    with torch.no_grad():
        rows = torch.eye(4)[[0, 1, 2, 3, 1, 2]]
        sae.atoms.copy_(rows)
        sae.encoder.copy_(rows * torch.tensor([[5.0], [1.0], [1.0], [1.0], [0.5], [0.5]]))
        sae.bias.copy_(torch.tensor([0.0, 0.0, 0.0, 0.25]))
    return sae


def told(sae, x, mask, **more):
    terms, _ = sae_loss.loss_terms(sae, x, mask, **more)
    return {name: value.item() for name, value in terms.items()}


# the acceptance check of AuxK


def auxk_is_as_computed_by_hand():
    sae = by_hand()
    found = told(sae, X, dead(2))
    assert found["squared error"] == pytest.approx(1)
    assert found["auxiliary error"] == pytest.approx(0.85)
    assert found["loss"] == pytest.approx(1.0265625)
    assert told(sae, X, dead(1)) == pytest.approx({"loss": 1, "squared error": 1, "auxiliary error": 0})
    sae_loss.loss_terms(sae, X, dead(2))[0]["auxiliary error"].backward()
    assert torch.equal(sae.atoms.grad[0], torch.zeros(2))
    # input (1, .75, .5, 1): p of latents 1 to 5 is .75, .5, .75, .375, .25; residual (-4, .75, .5, .75); k_aux is 2
    wide_x = torch.tensor([[1.0, 0.75, 0.5, 1.0]])
    many = told(wide(), wide_x, dead(1, 2, 3, 4, 5, n=6))
    assert many["auxiliary error"] == pytest.approx(16 + 0.25)
    assert many["loss"] == pytest.approx(many["squared error"] + 16.25 / 32)
    one = told(wide(), wide_x, dead(2, n=6))
    assert one["auxiliary error"] == pytest.approx(16 + 0.5625 + 0.5625)
    assert one["loss"] == pytest.approx(one["squared error"] + 17.125 / 64)


def test_the_auxiliary_term_is_as_computed_by_hand():
    auxk_is_as_computed_by_hand()


def attached(sae, scaled, residual, numbers, atoms, k_aux):
    before = F.linear(scaled - sae.bias, sae.encoder[numbers], sae.encoder_bias[numbers])
    kept = torch.where(before >= before.topk(min(k_aux, len(numbers)), dim=1).values[:, -1:], before, 0.0)
    return (residual - torch.relu(kept) @ atoms[numbers]).square().sum(1).mean()


def with_bias(sae, scaled, residual, *rest):
    return RIGHT(sae, scaled, residual - sae.bias, *rest)


def of_the_mean(sae, *rest):
    return RIGHT(sae, *rest) / sae.d_model


def of_total_left_out(*given, **more):
    terms, codes = WHOLE(*given, **more)
    return terms | {"loss": terms["squared error"]}, codes


RIGHT, WHOLE = sae_loss.auxiliary_error, sae_loss.loss_terms
FAULTS = {
    "the residual is not detached": ("auxiliary_error", attached),
    "the decoder bias is added": ("auxiliary_error", with_bias),
    "k_aux is taken from the number of latents": ("auxiliary_k", lambda d: {2: 1, 4: 3}[d]),
    "the total leaves it out": ("loss_terms", of_total_left_out),
    "it is scaled by the width": ("auxiliary_error", of_the_mean),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_published_mistake_of_the_auxiliary_term_is_noticed(fault, monkeypatch):
    name, wrong = FAULTS[fault]
    monkeypatch.setattr(sae_loss, name, wrong)
    with pytest.raises(AssertionError):
        auxk_is_as_computed_by_hand()


def test_without_dead_latents_the_auxiliary_term_is_exactly_zero():
    for mask in (None, dead(), dead(0)):  # latent 0 is active in this very batch
        found = told(by_hand(), X, mask)
        assert found["auxiliary error"] == 0 and found["loss"] == found["squared error"]


# sparse against dense


def dense_loss(sae, x, mask):
    """The loss from dense codes and autograd alone."""
    before = F.linear(x - sae.bias, sae.encoder, sae.encoder_bias)
    kept = before.topk(sae.k, dim=1)
    codes = torch.zeros_like(before).scatter(1, kept.indices, torch.relu(kept.values))
    residual = x - (codes @ sae.atoms + sae.bias)
    loss = residual.square().sum(1).mean()
    numbers = (mask & (codes == 0).all(0)).nonzero()[:, 0]
    k_aux = sae.d_model // 2
    masked = before[:, numbers]
    top = masked.topk(min(k_aux, len(numbers)), dim=1)
    masked = torch.zeros_like(masked).scatter(1, top.indices, torch.relu(top.values))
    missed = (residual.detach() - masked @ sae.atoms[numbers]).square().sum(1).mean()
    return loss + min(len(numbers) / k_aux, 1) / 32 * missed


@pytest.mark.parametrize(("kind", "near"), [(torch.float32, 1e-6), (torch.float64, 1e-13)])
def test_sparse_gradients_are_those_of_dense_autograd_on_the_tangent_of_the_atoms(kind, near):
    torch.manual_seed(0)
    sae = TopKSAE(16, 40, 8, seed=2).to(kind)
    sae.renormalise()
    with torch.no_grad():
        sae.bias.normal_(0, 0.2)
        sae.encoder_bias.normal_(0, 0.1)
        sae.encoder_bias[:20] -= 0.7
    x = torch.randn(64, 16, dtype=kind) * 0.3
    mask = torch.arange(40) < 20
    dense = dense_loss(sae, x, mask)
    wanted = dict(zip("adeb", torch.autograd.grad(dense, list(sae.parameters())), strict=True))
    wanted["a"] -= (wanted["a"] * sae.atoms).sum(1, keepdim=True) * sae.atoms
    terms, codes = sae_loss.loss_terms(sae, x, mask)
    revived = mask & (codes.active_cells() == 0)
    could = (sae.pre_activations_of_scaled(x)[:, revived] > 0).any(0)
    assert (
        (codes.values == 0).any() and 8 < revived.sum() < 20 and could.any()
    )  # the cases worth comparing are there
    found = dict(zip("adeb", torch.autograd.grad(terms["loss"], list(sae.parameters())), strict=True))
    assert terms["loss"].item() == pytest.approx(dense.item(), rel=near)
    for name in "adeb":
        assert torch.allclose(
            found[name], wanted[name], rtol=0, atol=near * (wanted[name].abs().max().item() + 1)
        )
    assert (found["a"] * sae.atoms).sum(1).abs().max() < near


def test_room_that_is_used_again_changes_no_number():
    sae, draw = TopKSAE(8, 20, 3), torch.Generator().manual_seed(1)
    room = torch.full((40, 20), torch.nan)
    for n in (40, 39):
        x = torch.randn(n, 8, generator=draw)
        assert torch.equal(training_codes(sae, x, room).dense(), training_codes(sae, x).dense())


def test_codes_are_the_k_largest_positive_pre_activations_and_decode_adds_their_atoms():
    sae, x = TopKSAE(8, 20, 3, seed=1), torch.randn(50, 8, generator=torch.Generator().manual_seed(4))
    sae.mu.copy_(torch.arange(8.0))
    sae.s.fill_(2.0)
    made = sae(x)
    before = ((x - sae.mu) / 2) @ sae.encoder.T
    largest = before.topk(3, dim=1).values[:, -1:]
    assert torch.allclose(made.codes, torch.where(before >= largest, torch.relu(before), 0.0), atol=1e-5)
    assert torch.allclose(made.pre_activations, before, atol=1e-5)
    assert torch.equal(sae.encode(x), made.codes)
    assert torch.allclose(made.reconstruction, 2 * (made.codes @ sae.atoms) + sae.mu, atol=1e-5)
    assert torch.allclose(sae.decode(made.codes), made.reconstruction, atol=1e-5)
    assert torch.equal(training_codes(sae, (x - sae.mu) / 2).dense() > 0, made.codes > 0)


def test_the_reconstruction_by_hand_has_the_bias_once():
    made = by_hand()(X)
    assert made.codes.tolist() == [[2, 0, 0]] and made.pre_activations.tolist() == [[2, 1, 1.5]]
    assert made.reconstruction.tolist() == [[3, 0]]


# BatchTopK


def test_batch_top_k_keeps_k_per_cell_on_average_and_only_positive_ones():
    sae = TopKSAE(8, 20, 3, batch_topk=True)
    x = torch.randn(100, 8, generator=torch.Generator().manual_seed(1))
    codes = training_codes(sae, x)
    dense = codes.dense()
    assert len(codes.values) == 300 and (codes.values > 0).all()
    assert len({int(n) for n in (dense > 0).sum(1)}) > 1
    assert dense[dense > 0].min() >= sae.pre_activations(x)[dense == 0].max()
    assert float(sae.threshold) == pytest.approx(codes.values.min().item())
    assert (
        len(training_codes(sae, -torch.relu(x) @ torch.zeros(8, 8)).values) == 0
    )  # nothing positive, nothing kept


def test_after_training_a_code_of_batch_top_k_does_not_depend_on_other_cells():
    sae = TopKSAE(8, 20, 3, batch_topk=True)
    x = torch.randn(100, 8, generator=torch.Generator().manual_seed(1))
    training_codes(sae, x)
    alone = torch.cat([sae.encode(x[i : i + 1]) for i in range(30)])
    assert torch.allclose(sae.encode(torch.cat([x, 100 * x]))[:30], alone, atol=1e-5)
    before = sae.pre_activations(x)[:30]
    assert torch.equal(alone > 0, before > sae.threshold)
    among_loud = training_codes(sae, torch.cat([x, 100 * x])).dense()[:30]
    assert not torch.equal(among_loud > 0, alone > 0)  # which is why a batch must not decide


def test_batch_top_k_without_a_threshold_says_so():
    with pytest.raises(ConfigError, match="no threshold before training"):
        TopKSAE(8, 20, 3, batch_topk=True).encode(torch.zeros(2, 8))


# what is refused


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((8, 4, 5), "k is 5, of 4 latents"),
        ((0, 4, 1), "d_model is 0"),
        ((8, 4.0, 1), "n_latents is 4.0"),
        ((8, 4, 0), "k is 0"),
        ((8, 4, True), "k is True"),
        ((8, 4, None), "k is None"),
    ],
)
def test_impossible_sizes_are_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        TopKSAE(*given)


def test_cells_and_codes_of_another_shape_and_values_that_are_not_finite_are_refused():
    sae = TopKSAE(8, 20, 3)
    with pytest.raises(ShapeError, match=r"\(5, 7\); expected \(cells, 8\)"):
        sae.encode(np.zeros((5, 7)))
    with pytest.raises(ShapeError, match=r"\(8,\); expected \(cells, 8\)"):
        sae(torch.zeros(8))
    with pytest.raises(ShapeError, match=r"\(5, 8\); expected \(cells, 20\)"):
        sae.decode(torch.zeros(5, 8))
    broken = np.zeros((5, 8))
    broken[3, 2] = np.nan
    with pytest.raises(InputError, match="Row 3 of the cells"):
        sae.encode(broken)
    with pytest.raises(InputError, match="str is no table"):
        sae.encode("X_scGPT")


def test_importing_the_package_of_concepts_loads_no_torch():
    code = "import sys, perturbook.concepts; print(sorted({'torch', 'sklearn', 'scanpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
