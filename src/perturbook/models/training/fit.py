"""`fit`: train any module of this project on any loss."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from perturbook.errors import ConfigError
from perturbook.models.training.batches import Batches
from perturbook.models.training.history import History
from perturbook.models.training.settings import Settings
from perturbook.models.training.state import load_changing

Loss = torch.Tensor | dict[str, torch.Tensor]


def fit(
    module: nn.Module,
    loss_of: Callable[[nn.Module, Any, int], Loss],
    batches: Batches,
    settings: Settings,
    *,
    validate: Callable[[nn.Module], float | dict[str, float]] | None = None,
    folder: Path | None = None,
    progress: bool = False,
) -> History:
    """Train `module` in place and return what was recorded.

    The same arguments give the same weights, bit for bit on CPUs of one kind with as many threads, also where the run was
    killed and called again with the same `folder`. Any module methods may be used inside `loss_of`. Only parameters with `requires_grad` are
    trained, held by the optimiser and kept on disk. `module.train()` and `.eval()` are called; a module with a frozen part
    that must stay in eval mode overrides `train`. It is left in eval mode, with the weights of the lowest validation loss
    where there is a validation, else the last.

    Args:
        module: what is trained.
        loss_of: (module, batch, step) -> scalar, or scalars by name with `loss` among them; all are recorded. Random
            draws from torch's own generator are seeded per batch. Several processes by spawning need a function that
            can be pickled.
        batches: (seed, epoch) -> batches of that epoch, a pure function; see `Shuffled`. Tensors in a batch are moved to
            the device. A step averages the loss over `settings.accumulate` batches, whatever their sizes.
        settings: how.
        validate: module in eval mode, without gradients -> loss, or numbers by name with `loss` among them; lower is
            better.
        folder: where the state is kept, so that the next call goes on from it; None keeps none.
        progress: say on stderr where the run stands.

    Raises:
        ConfigError: nothing to train, impossible settings, or a kept state of other settings.
        InputError: a kept state that is damaged or of another module.
        NotFinite: a loss, gradient norm or validation is not finite; the run stops before that update.
    """
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise ConfigError("No parameter of the module has requires_grad; there is nothing to train.")
    if settings.patience is not None and validate is None:
        raise ConfigError("patience is set, but there is no validation; give validate.")
    from perturbook.models.training.fabric import make_fabric, quiet  # Lightning takes a second to load
    from perturbook.models.training.loop import Loop

    home = next(module.parameters()).device
    with quiet(), TemporaryDirectory() as scratch:
        fabric = make_fabric(settings)
        result = Path(scratch) / "result.pt"
        loop = Loop(module, loss_of, batches, settings, validate, folder and Path(folder), progress, result)
        with torch.random.fork_rng(devices=[fabric.device] if fabric.device.type == "cuda" else []):
            made = fabric.launch(loop.run)
        weights, history = made or torch.load(result, weights_only=True)
    module.to(home)
    load_changing(module, weights)
    module.eval()
    return history if isinstance(history, History) else History.from_dict(history)
