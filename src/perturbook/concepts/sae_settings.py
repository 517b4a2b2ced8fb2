"""How a sparse autoencoder is trained."""

from dataclasses import dataclass, fields
from numbers import Integral, Real

from perturbook.concepts.sae_loss import AUX_WEIGHT
from perturbook.errors import ConfigError
from perturbook.models.training import Settings

WARMUP, DECAY = 0.05, 0.2
"""Shares of the steps over which the learning rate rises from nothing, and falls to `final_share` of itself, linearly."""
REVIVE = ("none", "resample")


@dataclass(frozen=True, kw_only=True)
class SAESettings:
    """Settings shared by all autoencoders of one call. Source: `concepts.md` sections 3.1 to 3.4; defaults are choices of it.

    Raises ConfigError for a value out of range.
    """

    passes: int = 30
    """Passes over the training cells."""
    batch: int = 1024
    """Least cells per step; batches are equal to within one cell and hold every cell once per pass."""
    learning_rate: float | None = None
    """Of Adam, at its highest; `2e-4 / sqrt(n_latents / 2**14)` where None."""
    final_share: float = 0.0
    """Share of the learning rate that is left at the last step."""
    centre: bool = True
    """Take the mean from the embeddings; without it dead latents are many wherever the mean is large."""
    aux_weight: float = AUX_WEIGHT
    """Weight of the auxiliary term; 0 leaves it out."""
    dead_window: int | None = None
    """Training cells without activity after which a latent counts as dead; all of them, one pass, where None."""
    revive: str = "none"
    """`resample` draws latents anew, once per pass until the learning rate falls, that are dead and that no cell of the pass
    could activate."""
    clip: float | None = 1.0
    """Largest norm of the gradient."""
    order_seed: int = 0
    """Decides the order of cells, of all autoencoders alike; their first atoms are drawn by a seed of their own."""

    def __post_init__(self):
        """Refuse impossible values."""
        for name, least in (("passes", 1), ("batch", 1), ("order_seed", 0), ("dead_window", 1)):
            value = getattr(self, name)
            if name == "dead_window" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
                raise ConfigError(f"{name} is {value!r}; give a whole number from {least}.")
        if not isinstance(self.aux_weight, Real) or not 0 <= self.aux_weight < float("inf"):
            raise ConfigError(f"aux_weight is {self.aux_weight!r}; give a number from 0.")
        if self.revive not in REVIVE:
            raise ConfigError(f"revive is {self.revive!r}. Allowed: {', '.join(REVIVE)}.")
        self.schedule(1, 1)

    def schedule(self, n_latents: int, steps_per_pass: int) -> "Schedule":
        """Settings of the training loop for one autoencoder."""
        steps = self.passes * steps_per_pass
        usual = 2e-4 / (n_latents / 2**14) ** 0.5
        return Schedule(
            steps=steps,
            learning_rate=usual if self.learning_rate is None else self.learning_rate,
            warmup_steps=int(WARMUP * steps),
            final_share=self.final_share,
            clip=self.clip,
            seed=self.order_seed,
            log_every=max(1, steps_per_pass // 10),
        )

    def as_dict(self) -> dict:
        """Plain values by name."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


@dataclass(frozen=True, kw_only=True)
class Schedule(Settings):
    """Settings of the training loop whose learning rate is constant between a linear rise and a linear fall."""

    def learning_rate_at(self, step: int, steps: int) -> float:
        """Learning rate of `step` (from 0) of a run of `steps`."""
        rising = (step + 1) / (self.warmup_steps + 1)
        left = min(1.0, (steps - step) / max(1.0, DECAY * steps))
        return self.learning_rate * min(1.0, rising) * (self.final_share + (1 - self.final_share) * left)
