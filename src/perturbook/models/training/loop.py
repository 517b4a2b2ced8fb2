"""The training loop itself. Runs in every process of a run; all take the same decisions from the same numbers."""

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from perturbook.errors import ConfigError
from perturbook.models.training.batches import Batches, Stream
from perturbook.models.training.fabric import Fabric, silence
from perturbook.models.training.history import History
from perturbook.models.training.loss_module import Carried, LossModule, named
from perturbook.models.training.not_finite import NotFinite
from perturbook.models.training.optimizer import batch_seed, make_optimizer
from perturbook.models.training.progress import tell
from perturbook.models.training.settings import Settings
from perturbook.models.training.state import State, changing, read_state, save_state

MOST_OVERFLOWS = 20  # in a row, under 16-mixed, whose scaler finds its scale by overflowing
NORM = "gradient norm"


@dataclass
class Loop:
    """One run of `fit`; its fields are the arguments of `fit`."""

    module: nn.Module
    loss_of: Callable
    batches: Batches
    settings: Settings
    validate: Callable | None
    folder: Path | None
    progress: bool
    result: Path
    """Where a spawned process leaves what a return value is too narrow for."""

    def __post_init__(self):
        self.home = os.getpid()

    def __setstate__(self, fields: dict) -> None:
        """Arrive in a spawned process: before Lightning speaks there, and with weights that no other process shares."""
        silence()
        vars(self).update(fields)
        for tensor in (*self.module.parameters(), *self.module.buffers()):
            tensor.data = tensor.data.clone()

    def run(self, fabric: Fabric) -> tuple[dict[str, torch.Tensor], History] | None:
        """Train to the end, from the kept state where there is one.

        Returns the chosen weights and the history; None in a spawned process, where the first writes both to `result`.
        """
        self.fabric, settings, began = fabric, self.settings, time.monotonic()
        kept = read_state(self.folder, self.module, settings) if self.folder else None
        self.state = kept[0] if kept else State()
        self.wrapped, self.optimizer = fabric.setup(
            LossModule(self.module, self.loss_of), make_optimizer(self.module, settings)
        )
        if kept:
            self.optimizer.optimizer.load_state_dict(kept[1])
            fabric.strategy.precision.load_state_dict(kept[2])
        self.stream = Stream(self.batches, settings.seed, self.state.epoch, self.state.first)
        self.overflows, self.seconds, self.began = 0, self.state.history.seconds, began
        self.steps = self._steps()
        while not self.state.finished:
            self._step()
            self._after()
        history = self.state.history
        weights = self.state.best["weights"] if self.state.best else changing(self.module)
        if os.getpid() == self.home:
            return weights, history
        if fabric.is_global_zero:
            torch.save((weights, vars(history)), self.result)
        return None

    def _steps(self) -> int:
        """Steps of the whole run; epochs are taken to be as long as the first."""
        if self.settings.steps is not None:
            return self.settings.steps
        length = len(self.stream.current) if self.state.epoch == 0 else None
        length = len(Stream(self.batches, self.settings.seed).current) if length is None else length
        steps = self.settings.epochs * length // self.settings.accumulate
        if steps <= self.settings.warmup_steps:
            raise ConfigError(
                f"{self.settings.epochs} epochs of {length} batches, {self.settings.accumulate} per step, make {steps} "
                f"steps, with a warm-up of {self.settings.warmup_steps}; train longer."
            )
        return steps

    def _step(self) -> None:
        """One update, from `accumulate` batches, which the processes share out in turn."""
        fabric, settings, step = self.fabric, self.settings, self.state.step
        self.module.train()
        rate = settings.learning_rate_at(step, self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        numbers = range(step * settings.accumulate, (step + 1) * settings.accumulate)
        own = numbers[fabric.global_rank :: fabric.world_size]
        total: dict[str, torch.Tensor] = {}
        for number in own:
            batch = fabric.to_device(self.stream[number])
            torch.manual_seed(batch_seed(settings.seed, number))
            with fabric.no_backward_sync(self.wrapped, enabled=number != own[-1]):
                terms = self.wrapped(Carried(batch), step)
                fabric.backward(terms["loss"] / len(own))
            for name, value in terms.items():
                total[name] = total.get(name, 0) + value.detach().float() / len(own)
        values = fabric.all_reduce(torch.stack(list(total.values())), reduce_op="mean").tolist()
        recorded = dict(zip(total, values, strict=True))
        self._finite(recorded, "loss term")
        clip = math.inf if settings.clip is None else settings.clip
        norm = fabric.clip_gradients(self.wrapped, self.optimizer, max_norm=clip, error_if_nonfinite=False)
        self._check_norm(float(norm))
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if step % settings.log_every == 0 or step + 1 == self.steps:
            self._record("training", step, {**recorded, NORM: float(norm), "learning rate": rate})
        self.state.step += 1

    def _after(self) -> None:
        """Validate, decide whether to stop, keep the state."""
        settings, state = self.settings, self.state
        last = state.step >= self.steps
        if self.validate and (
            last or (settings.validate_every and state.step % settings.validate_every == 0)
        ):
            self._validate()
            if settings.patience is not None and state.since_best >= settings.patience and not last:
                state.finished = True
                state.history.stopped = (
                    f"{settings.patience} validations without a lower loss, at step {state.step}"
                )
        if last:
            state.finished, state.history.stopped = True, f"all {self.steps} steps made"
        state.history.steps = state.step
        state.history.seconds = self.seconds + time.monotonic() - self.began
        due = settings.checkpoint_every and state.step % settings.checkpoint_every == 0
        if self.folder and (due or state.finished):
            self._keep()
        if self.progress and self.fabric.is_global_zero:
            tell(state, self.steps)

    def _validate(self) -> None:
        self.module.eval()
        found = None
        if self.fabric.is_global_zero:
            with torch.no_grad(), self.fabric.autocast():
                torch.manual_seed(self.settings.seed)
                found = named(self.validate(self.module))
            found = {name: float(value) for name, value in found.items()}
        found = self.fabric.broadcast(found)
        self._finite(found, "validation")
        self._record("validation", self.state.step, found)
        if self.state.best is None or found["loss"] < self.state.best["loss"]:
            weights = changing(self.module)
            self.state.best = {"loss": found["loss"], "step": self.state.step, "weights": weights}
            self.state.since_best, self.state.history.best_step = 0, self.state.step
        else:
            self.state.since_best += 1

    def _keep(self) -> None:
        self.stream.seek(self.state.step * self.settings.accumulate)
        self.state.epoch, self.state.first = self.stream.epoch, self.stream.first
        if self.fabric.is_global_zero:
            optimizer = self.optimizer.optimizer.state_dict()
            scaler = self.fabric.strategy.precision.state_dict()
            save_state(self.folder, self.state, self.module, optimizer, scaler, self.settings)
        self.fabric.barrier()

    def _record(self, part: str, step: int, values: dict[str, float]) -> None:
        self.state.history.rows += [(step, part, name, value) for name, value in values.items()]

    def _finite(self, values: dict[str, float], what: str) -> None:
        if wrong := [name for name, value in values.items() if not math.isfinite(value)]:
            raise NotFinite(
                f"Step {self.state.step}: {what} {wrong[0]!r} is {values[wrong[0]]}; the run stops here. Lower the "
                f"learning rate (now {self.settings.learning_rate}), warm up longer (now {self.settings.warmup_steps} "
                f"steps) or clip harder (now {self.settings.clip}); at step 0, look for values in the data that are not "
                "finite."
            )

    def _check_norm(self, norm: float) -> None:
        self.overflows = 0 if math.isfinite(norm) else self.overflows + 1
        if self.settings.precision != "16-mixed" or self.overflows > MOST_OVERFLOWS:
            self._finite({NORM: norm}, "the value of")
