"""One autoencoder on its way through the training loop, taken step by step, so that several share each batch.

`perturbook.models.training.fit` runs its loop to the end, once per module. Here the same loop is entered at each step,
for three things that it has no place for: several modules that take one step each on a batch read once; atoms that get
their norm back after every step; and, where latents are drawn anew, the optimiser's memory of them, which is cleared.
Forward, backward, clipping, schedule, record and the watch over numbers that are not finite stay those of the loop.
"""

import time
from typing import Any

import numpy as np
import torch
from torch import Tensor

from perturbook.concepts.fidelity import Held, largest_cosine
from perturbook.concepts.sae_loss import loss_terms
from perturbook.concepts.sae_settings import DECAY, SAESettings
from perturbook.concepts.sparse_codes import decode_sparse
from perturbook.concepts.topk_sae import TopKSAE
from perturbook.models.training.batches import Stream
from perturbook.models.training.loop import Loop
from perturbook.models.training.loss_module import LossModule
from perturbook.models.training.state import State

PASS = "pass"


class SAERun(Loop):
    """The loop of one autoencoder. `begin`, then `advance` until `state.finished`."""

    def begin(self, fabric: Any, given: SAESettings, n_train: int, held_out: Held | None) -> None:
        """Set up optimiser, batches and counters."""
        self.fabric, self.given, self.held_out = fabric, given, held_out
        self.state, self.overflows, self.seconds, self.began = State(), 0, 0.0, time.monotonic()
        self.loss_of = self._loss
        # fused, because an unfused step reads every weight several times over
        optimizer = torch.optim.AdamW(
            self.module.parameters(), lr=self.settings.learning_rate, weight_decay=0.0, fused=True
        )
        self.wrapped, self.optimizer = fabric.setup(LossModule(self.module, self.loss_of), optimizer)
        self.stream, self.steps = Stream(self.batches, self.settings.seed), self.settings.steps
        self.per_pass = len(self.stream.current)
        self.room = torch.empty(-(-n_train // self.per_pass), self.module.n_latents)
        self.window = n_train if given.dead_window is None else given.dead_window
        self._new_pass()

    def advance(self) -> None:
        """One step; at the end of a pass, its row of the record."""
        self._step()
        self.module.renormalise()
        if self.state.step % self.per_pass == 0:
            self._end_pass()
        self._after()

    def _new_pass(self) -> None:
        self.cells, self.active, self.auxiliary = 0, 0, 0
        self.counts = torch.zeros(self.module.n_latents, dtype=torch.long)
        self.could = torch.zeros(self.module.n_latents, dtype=torch.bool)

    def _loss(self, sae: TopKSAE, scaled: Tensor, step: int) -> dict[str, Tensor]:
        dead = sae.since_active + len(scaled) >= self.window
        terms, codes = loss_terms(sae, scaled, dead, self.given.aux_weight, self.room)
        counts = codes.active_cells()
        sae.since_active.add_(len(scaled)).masked_fill_(counts > 0, 0)
        self.counts += counts
        self.cells, self.active = self.cells + len(scaled), self.active + int(counts.sum())
        self.auxiliary += int(terms["auxiliary error"] != 0)
        if self.given.revive == "resample":
            self.could |= (self.room[: len(scaled)] > 0).any(0)
        return terms

    @torch.no_grad()
    def _end_pass(self) -> None:
        sae, number = self.module, self.state.step // self.per_pass
        sae.firing_counts.copy_(self.counts)
        dead = sae.since_active >= self.window
        row = {
            "ev": self.held_out.explained_variance(sae) if self.held_out else np.nan,
            "l0": self.active / self.cells,
            "dead_train": float(dead.float().mean()),
            "auxk_steps": self.auxiliary / self.per_pass,
            "atom_norm_error": float((sae.atoms.norm(dim=1) - 1).abs().max()),
            "largest_cosine": largest_cosine(sae.atoms),
            "revived": self._resample(dead & ~self.could, number),
        }
        self._record(PASS, number, row)
        self._new_pass()

    def _resample(self, hopeless: Tensor, number: int) -> int:
        """Point latents that no cell can activate to residuals of cells, drawn by their squared error in the last batch.

        Not while the learning rate falls, when there is no time left to learn what they are for, and no cell twice.
        """
        hopeless = hopeless.nonzero()[:, 0]
        falling = self.state.step > (1 - DECAY) * self.steps
        if self.given.revive != "resample" or falling or not len(hopeless):
            return 0
        sae, batch = self.module, self.stream[self.state.step - 1]
        codes = sae.active(sae.pre_activations_of_scaled(batch))
        residual = batch - (decode_sparse(codes, sae.atoms) + sae.bias)
        error = residual.double().square().sum(1).numpy()
        hopeless = hopeless[: np.count_nonzero(error)]
        draw = np.random.default_rng([sae.seed, self.given.order_seed, number])
        cells = draw.choice(len(error), len(hopeless), replace=False, p=error / error.sum())
        chosen = residual[torch.from_numpy(cells)]
        directions = chosen / chosen.norm(dim=1, keepdim=True)
        sae.atoms[hopeless], sae.encoder[hopeless], sae.encoder_bias[hopeless] = directions, directions, 0.0
        for weights in (sae.atoms, sae.encoder, sae.encoder_bias):
            memory = self.optimizer.optimizer.state[weights]
            memory["exp_avg"][hopeless], memory["exp_avg_sq"][hopeless] = 0.0, 0.0
        sae.since_active[hopeless] = 0
        return len(hopeless)
