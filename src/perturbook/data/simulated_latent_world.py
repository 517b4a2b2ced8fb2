"""The world of `simulated-latent`: structural model, mixing, and draws of latents, in the exact order of the recipe.

All coefficients stand at the top; a changed one needs a new name, `simulated-latent-2`. Sizes are those of Table 1 of the
PerturbedVAE paper; the rest is not known from it and was chosen.

Source: `perturbedvae.md` sections 2 and 8.1.
"""

from dataclasses import dataclass

import numpy as np

N_RESPONSIVE, N_INVARIANT, N_FEATURES = 4, 7, 500  # Table 1 of the paper
N_ENVIRONMENTS = 12  # Table 1: one-hot codes; environment 0 is control and coded by zeros
TRAIN_CELLS = (600, 200)  # control, each environment: 3,000 in all
TEST_CELLS = (160, 70)  # 1,000 in all
SCALING_CELLS = 500  # per environment, drawn apart and used only to centre and scale
HIDDEN = 64  # width of the mixing
INVARIANT_EDGE, INVARIANT_EDGE_SHARE = (0.3, 0.8), 0.5  # absolute weights among invariant latents, share kept
RESPONSIVE_EDGE = (0.2, 0.6)  # absolute weights into responsive latents
INTO_RESPONSIVE_SHARE = 0.3  # share of edges kept from invariant to responsive latents
INVARIANT_VARIANCE, INVARIANT_MEAN = (0.5, 1.5), (-1.0, 1.0)  # of the invariant noise
SHIFT = (-2.0, 2.0)  # mean of the response noise in an environment
LOG_VARIANCE = (-np.log(9), np.log(9))  # of the response noise in an environment
MIXING_BIAS_SD = 0.1  # spread of the hidden biases
SLOPE = 0.6  # of the linear part of the activation; the rest is softplus


@dataclass(frozen=True)
class Mechanisms:
    """The structural model: `zi = Lii zi + n_i` and `zn = Lni[k] zi + Lnn[k] zn + n_n`; index 0 is control."""

    Lii: np.ndarray
    """Edges among invariant latents, strictly lower triangular, `(invariant, invariant)`."""
    mu_i: np.ndarray
    """Mean of the invariant noise, `(invariant,)`."""
    v_i: np.ndarray
    """Variance of the invariant noise, `(invariant,)`."""
    Lnn: np.ndarray
    """Edges among responsive latents, strictly lower triangular, `(environments + 1, responsive, responsive)`."""
    Lni: np.ndarray
    """Edges from invariant to responsive latents, `(environments + 1, responsive, invariant)`."""
    mu: np.ndarray
    """Mean of the response noise, `(environments + 1, responsive)`."""
    v: np.ndarray
    """Variance of the response noise, same shape."""


@dataclass(frozen=True)
class Mixing:
    """`x = (W2 a(W1 (z - zm) / zs + b1) - xm) / xs` with `z = [zn, zi]` and a smooth increasing `a`."""

    W1: np.ndarray
    """`(hidden, latents)`."""
    W2: np.ndarray
    """`(features, hidden)`."""
    b1: np.ndarray
    """`(hidden,)`."""
    zm: np.ndarray
    """Mean of every latent in the scaling draw, `(latents,)`."""
    zs: np.ndarray
    """Standard deviation of every latent in the scaling draw, `(latents,)`."""
    xm: np.ndarray
    """Mean of every feature in the scaling draw, `(features,)`."""
    xs: float
    """Standard deviation of all entries of the scaling draw."""

    def __call__(self, z: np.ndarray) -> np.ndarray:
        """Mix latents `(cells, latents)` into features `(cells, features)`."""
        t = ((z - self.zm) / self.zs) @ self.W1.T + self.b1
        return ((SLOPE * t + (1 - SLOPE) * np.logaddexp(0.0, t)) @ self.W2.T - self.xm) / self.xs


def _signed(rng: np.random.Generator, low: float, high: float, size: tuple[int, ...]) -> np.ndarray:
    """Draw first all signs, then all sizes; the order is part of the recipe."""
    return rng.choice([-1.0, 1.0], size) * rng.uniform(low, high, size)


def draw_mechanisms(rng: np.random.Generator) -> Mechanisms:
    """Draw the structural model in the order of the recipe."""
    inner, into = (N_INVARIANT, N_INVARIANT), (N_RESPONSIVE, N_INVARIANT)
    kept = _signed(rng, *INVARIANT_EDGE, inner) * (rng.random(inner) < INVARIANT_EDGE_SHARE)
    v_i, mu_i = rng.uniform(*INVARIANT_VARIANCE, N_INVARIANT), rng.uniform(*INVARIANT_MEAN, N_INVARIANT)
    Lnn, Lni, mu, v = [], [], [], []
    for _ in range(N_ENVIRONMENTS + 1):
        Lnn.append(np.tril(_signed(rng, *RESPONSIVE_EDGE, (N_RESPONSIVE, N_RESPONSIVE)), -1))
        Lni.append(_signed(rng, *RESPONSIVE_EDGE, into) * (rng.random(into) < INTO_RESPONSIVE_SHARE))
        mu.append(rng.uniform(*SHIFT, N_RESPONSIVE))
        v.append(np.exp(rng.uniform(*LOG_VARIANCE, N_RESPONSIVE)))
    mu[0], v[0] = np.zeros(N_RESPONSIVE), np.ones(N_RESPONSIVE)
    for k in range(N_RESPONSIVE):
        Lnn[k + 1][k] = Lni[k + 1][k] = 0.0
    return Mechanisms(np.tril(kept, -1), mu_i, v_i, *map(np.array, (Lnn, Lni, mu, v)))


def draw_mixing(rng: np.random.Generator, z: np.ndarray) -> Mixing:
    """Draw the mixing; latents of the scaling draw `z` `(cells, latents)` centre and scale its two ends."""
    latents = N_RESPONSIVE + N_INVARIANT
    W1 = rng.normal(0.0, latents**-0.5, (HIDDEN, latents))
    W2 = rng.normal(0.0, HIDDEN**-0.5, (N_FEATURES, HIDDEN))
    b1 = rng.normal(0.0, MIXING_BIAS_SD, HIDDEN)
    raw = Mixing(W1, W2, b1, z.mean(axis=0), z.std(axis=0), np.zeros(N_FEATURES), 1.0)
    x = raw(z)
    return Mixing(W1, W2, b1, raw.zm, raw.zs, x.mean(axis=0), float(x.std()))


def draw_latents(rng: np.random.Generator, model: Mechanisms, cells: tuple[int, int], twins: bool = True):
    """Environments `(cells,)`, latents `(cells, latents)` and those of the twins, of (control, other) cells each."""
    per = [cells[0]] + [cells[1]] * N_ENVIRONMENTS
    latents, twin_latents = [], []
    for k, n in enumerate(per):
        n_i = model.mu_i + np.sqrt(model.v_i) * rng.standard_normal((n, N_INVARIANT))
        zi = np.linalg.solve(np.eye(N_INVARIANT) - model.Lii, n_i.T).T
        latents.append(np.hstack([_respond(rng, model, k, zi), zi]))
        if twins:
            twin_latents.append(np.hstack([_respond(rng, model, 0, zi), zi]))
    z = np.concatenate(latents)
    return np.repeat(np.arange(len(per)), per), z, np.concatenate(twin_latents) if twins else None


def _respond(rng: np.random.Generator, model: Mechanisms, k: int, zi: np.ndarray) -> np.ndarray:
    """Responsive latents of environment `k` given the invariant ones, `(cells, responsive)`."""
    n_n = model.mu[k] + np.sqrt(model.v[k]) * rng.standard_normal((len(zi), N_RESPONSIVE))
    return np.linalg.solve(np.eye(N_RESPONSIVE) - model.Lnn[k], (n_n + zi @ model.Lni[k].T).T).T
