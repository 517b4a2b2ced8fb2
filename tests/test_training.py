"""`perturbook.models.training.fit`: deterministic, resumable bit for bit, and quick to say what went wrong."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_book import ENVIRONMENT
from torch import nn

from perturbook.errors import ConfigError, InputError
from perturbook.models.training import History, NotFinite, Settings, Shuffled, fit
from perturbook.models.training.batches import Stream
from perturbook.models.training.state import NAME

ROWS = torch.linspace(-1, 1, 48).reshape(24, 2)
TARGETS = ROWS @ torch.tensor([[1.5], [-2.0]]) + 0.3


def rows(numbers):
    return ROWS[numbers], TARGETS[numbers]


BATCHES = Shuffled(24, 4, rows)
SHORT = Settings(steps=20, learning_rate=0.05, warmup_steps=2, checkpoint_every=4)


def network(seed=3):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 1))


def squares(module, batch, step):
    x, y = batch
    return ((module(x) - y) ** 2).mean()


def whole_loss(module):
    return squares(module, (ROWS, TARGETS), 0)


def weights(module):
    return torch.cat([value.flatten() for value in module.state_dict().values()])


def trained(settings=SHORT, module=None, loss=squares, batches=BATCHES, **more):
    module = module or network()
    history = fit(module, loss, batches, settings, **more)
    return weights(module), history


class Killed(Exception):
    pass


def killed_at(step, loss=squares):
    def dying(module, batch, at):
        if at == step:
            raise Killed
        return loss(module, batch, at)

    return dying


# determinism and resuming


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    first, again = trained()[0], trained()[0]
    assert torch.equal(first, again)
    assert not torch.equal(first, trained(replace(SHORT, seed=1))[0])


def test_the_callers_random_stream_neither_decides_nor_is_moved():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = trained()[0]
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    assert torch.equal(trained()[0], first)


@pytest.mark.parametrize("step", [4, 5, 11, 19])
def test_a_run_killed_after_any_checkpoint_ends_with_the_bits_of_an_unbroken_one(tmp_path, step):
    settings = replace(SHORT, validate_every=3, patience=50, accumulate=2)
    whole, history = trained(settings, validate=whole_loss)
    with pytest.raises(Killed):
        trained(settings, loss=killed_at(step), folder=tmp_path, validate=whole_loss)
    resumed, continued = trained(settings, module=network(99), folder=tmp_path, validate=whole_loss)
    assert torch.equal(resumed, whole)
    assert continued.table().equals(history.table())
    assert (continued.best_step, continued.steps, continued.stopped) == (
        history.best_step,
        20,
        history.stopped,
    )


def test_only_steps_after_the_checkpoint_are_made_again_and_a_finished_run_makes_none(tmp_path):
    seen = []

    def watching(module, batch, step):
        seen.append(step)
        return squares(module, batch, step)

    with pytest.raises(Killed):
        trained(loss=killed_at(10), folder=tmp_path)
    finished = trained(loss=watching, folder=tmp_path)[0]
    assert seen == list(range(8, 20))
    assert torch.equal(trained(module=network(7), loss=watching, folder=tmp_path)[0], finished)
    assert seen == list(range(8, 20))


def test_a_kept_state_holds_no_code_and_only_what_is_trained(tmp_path):
    module = network()
    module[0].requires_grad_(False)
    trained(module=module, folder=tmp_path)
    content = torch.load(tmp_path / NAME, weights_only=True)
    assert sorted(content["module"]) == ["3.bias", "3.weight"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [NAME]


def test_a_state_damaged_or_of_other_settings_weights_or_modules_is_refused(tmp_path):
    frozen = network()
    frozen[0].requires_grad_(False)
    trained(module=frozen, folder=tmp_path)
    with pytest.raises(ConfigError, match=r"learning_rate 0\.05 \(now 0\.1\)"):
        trained(replace(SHORT, learning_rate=0.1), folder=tmp_path)
    with pytest.raises(InputError, match="other frozen weights"):
        trained(folder=tmp_path)
    other = nn.Sequential(frozen[0], nn.Tanh(), nn.Linear(8, 1))
    with pytest.raises(InputError, match=r"another module: 2\.bias"):
        fit(other, squares, BATCHES, SHORT, folder=tmp_path)
    (tmp_path / NAME).write_bytes((tmp_path / NAME).read_bytes()[:500])
    with pytest.raises(InputError, match="cannot be read"):
        trained(module=frozen, folder=tmp_path)


def test_where_a_run_takes_place_may_change_between_its_parts(tmp_path):
    with pytest.raises(Killed):
        trained(loss=killed_at(9), folder=tmp_path)
    moved = replace(SHORT, strategy="ddp", checkpoint_every=7, accelerator="auto")
    assert moved.deciding() == SHORT.deciding()


# batches and accumulation


def test_four_batches_of_three_make_the_step_of_one_batch_of_twelve():
    def plain(size):
        return lambda seed, epoch: [rows(np.arange(at, at + size)) for at in range(0, 24, size)]

    still = nn.Linear(2, 1)
    other = nn.Linear(2, 1)
    other.load_state_dict(still.state_dict())
    long = Settings(steps=8, learning_rate=0.1)
    one, _ = trained(long, still, batches=plain(12))
    four, _ = trained(replace(long, accumulate=4), other, batches=plain(3))
    torch.testing.assert_close(one, four, rtol=1e-5, atol=1e-6)


def test_every_item_comes_once_per_epoch_in_an_order_of_its_own():
    epochs = [np.concatenate(list(Shuffled(10, 3, lambda n: n)(0, epoch))) for epoch in (0, 0, 1)]
    assert all(sorted(order) == list(range(10)) for order in epochs)
    assert np.array_equal(epochs[0], epochs[1]) and not np.array_equal(epochs[0], epochs[2])


def test_the_stream_of_batches_runs_through_epochs_of_any_length_and_from_any_place():
    def batches(seed, epoch):
        return iter([f"{epoch}.{i}" for i in range(epoch + 1)])

    stream = Stream(batches, 0)
    assert [stream[number] for number in range(6)] == ["0.0", "1.0", "1.1", "2.0", "2.1", "2.2"]
    assert Stream(batches, 0, epoch=2, first=3)[5] == "2.2"
    with pytest.raises(ConfigError, match="Epoch 0 has no batch"):
        Stream(lambda seed, epoch: [], 0)


def test_epochs_are_counted_in_whole_steps():
    assert trained(Settings(epochs=3, accumulate=4))[1].steps == 3 * 6 // 4


# what is trained, and how


def test_frozen_parameters_stay_and_never_reach_the_optimiser():
    module = network()
    module[0].requires_grad_(False)
    before = module[0].weight.clone()
    made = []
    register = torch.optim.AdamW.__init__
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            torch.optim.AdamW, "__init__", lambda self, g, **k: (made.extend(g), register(self, g, **k))[1]
        )
        trained(module=module)
    assert torch.equal(module[0].weight, before)
    assert sum(one.numel() for group in made for one in group["params"]) == 8 + 1


def test_the_learning_rate_rises_linearly_and_falls_by_half_a_cosine():
    settings = Settings(steps=12, learning_rate=1.0, warmup_steps=2, final_share=0.1)
    rates = [settings.learning_rate_at(step, 12) for step in (0, 1, 2, 7, 12)]
    assert rates == pytest.approx([1 / 3, 2 / 3, 1.0, 0.55, 0.1])
    assert trained(settings)[1].wide()["training: learning rate"].tolist()[:3] == pytest.approx(rates[:3])


def test_early_stopping_leaves_the_weights_of_the_lowest_validation():
    losses = iter([3.0, 1.0, 2.0, 2.5])
    seen = []

    def judge(module):
        seen.append(weights(module).clone())
        return next(losses)

    left, history = trained(replace(SHORT, validate_every=2, patience=2), validate=judge)
    assert torch.equal(left, seen[1])
    assert (history.best_step, history.steps) == (4, 8)
    assert history.stopped == "2 validations without a lower loss, at step 8"


def test_without_patience_the_best_weights_are_still_the_ones_left():
    losses = iter([1.0, 2.0])
    left, history = trained(replace(SHORT, validate_every=10), validate=lambda module: next(losses))
    assert history.best_step == 10 and history.steps == 20
    assert torch.equal(left, trained(replace(SHORT, validate_every=10), validate=lambda module: 0.0)[0])


def test_every_term_of_the_loss_is_in_the_history_by_name():
    def two(module, batch, step):
        loss = squares(module, batch, step)
        return {"loss": loss + 2.0, "squares": loss, "offset": torch.tensor(2.0)}

    history = trained(replace(SHORT, log_every=5), loss=two, validate=lambda m: {"loss": 1, "other": 2})[1]
    table = history.table()
    assert list(table.columns) == ["step", "part", "term", "value"]
    wide = history.wide()
    assert wide.index.tolist() == [0, 5, 10, 15, 19, 20]
    assert (wide["training: offset"].dropna() == 2).all()
    assert (wide["training: loss"] - wide["training: squares"]).dropna().to_numpy() == pytest.approx(2)
    assert wide.loc[20, "validation: other"] == 2 and wide["validation: loss"].notna().sum() == 1


def test_clipping_bounds_the_update_and_the_norm_before_it_is_recorded():
    steep = Settings(steps=1, clip=1e-3)
    history = trained(steep, loss=lambda m, b, s: 1e6 * squares(m, b, s))[1]
    assert history.wide().loc[0, "training: gradient norm"] > 1e3


def test_bf16_trains_and_sees_the_batch_in_full_precision():
    seen = []

    def watching(module, batch, step):
        seen.append((batch[0].dtype, module(batch[0]).dtype))
        return squares(module, batch, step)

    trained(replace(SHORT, precision="bf16-mixed"), loss=watching)
    assert set(seen) == {(torch.float32, torch.bfloat16)}


# what goes wrong


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_the_first_loss_that_is_not_finite_stops_the_run_and_is_named(bad):
    module, kept = network(), []

    def breaking(module, batch, step):
        kept.append(weights(module).clone())
        return {"loss": squares(module, batch, step), "aside": torch.tensor(bad if step == 5 else 1.0)}

    with pytest.raises(NotFinite, match=r"Step 5: loss term 'aside' is (nan|inf).*Lower the learning rate"):
        trained(module=module, loss=breaking)
    assert torch.equal(weights(module), kept[-1])


def test_a_gradient_that_is_not_finite_stops_the_run_before_the_update():
    def edge(module, batch, step):
        return torch.sqrt((module(batch[0]) * 0).sum())

    module = network()
    before = weights(module).clone()
    with pytest.raises(NotFinite, match="Step 0: the value of 'gradient norm' is nan"):
        trained(module=module, loss=edge)
    assert torch.equal(weights(module), before)


def test_a_validation_that_is_not_finite_stops_the_run():
    with pytest.raises(NotFinite, match="Step 4: validation 'loss' is nan"):
        trained(replace(SHORT, validate_every=4), validate=lambda module: float("nan"))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({}, "either steps or epochs"),
        ({"steps": 1, "epochs": 1}, "either steps or epochs"),
        ({"steps": 0}, "steps is 0"),
        ({"steps": True}, "steps is True"),
        ({"steps": 5, "warmup_steps": 5}, "warm up for fewer"),
        ({"steps": 5, "learning_rate": 0}, "learning_rate is 0; give a number above 0"),
        ({"steps": 5, "learning_rate": float("nan")}, "learning_rate is nan"),
        ({"steps": 5, "final_share": 2}, "from 0 to 1"),
        ({"steps": 5, "clip": -1.0}, "clip is -1.0"),
        ({"steps": 5, "precision": "16"}, "Allowed: 32-true, bf16-mixed, 16-mixed"),
        ({"steps": 5, "precision": "16-mixed"}, "does not exist on a CPU"),
        ({"steps": 5, "strategy": "fsdp"}, "ddp family"),
        ({"steps": 5, "patience": 3}, "validate_every too"),
    ],
)
def test_settings_that_cannot_work_are_refused(wrong, told):
    with pytest.raises(ConfigError, match=told):
        Settings(**wrong)


def test_calls_that_cannot_work_are_refused():
    with pytest.raises(ConfigError, match="nothing to train"):
        trained(module=network().requires_grad_(False))
    with pytest.raises(ConfigError, match="no validation"):
        trained(replace(SHORT, validate_every=1, patience=1))
    with pytest.raises(ConfigError, match="one must be named loss"):
        trained(loss=lambda m, b, s: {"mse": squares(m, b, s)})
    with pytest.raises(ConfigError, match="train longer"):
        trained(Settings(epochs=1, accumulate=4, warmup_steps=3))
    with pytest.raises(ConfigError, match="Lightning Fabric refuses"):
        trained(replace(SHORT, accelerator="abacus"))
    with pytest.raises(ConfigError, match="give a multiple of 2"):
        trained(replace(SHORT, devices=2, strategy="ddp_spawn", accumulate=3))


def test_progress_is_told_on_stderr_and_nothing_else_is_said(capfd, recwarn):
    trained(replace(SHORT, validate_every=10), validate=whole_loss)
    assert capfd.readouterr() == ("", "")
    trained(replace(SHORT, validate_every=10, log_every=7), validate=whole_loss, progress=True)
    out, told = capfd.readouterr()
    assert out == "" and told.startswith("step 10 of 20, validation loss ") and told.count("\n") == 2
    assert [str(one.message) for one in recwarn] == []


def test_importing_the_package_does_not_load_lightning():
    code = "import sys, perturbook.models.training; print([m for m in sys.modules if 'lightning' in m])"
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


# several processes


@pytest.mark.slow
def test_two_processes_give_the_weights_of_one_with_the_same_global_batch(capfd, tmp_path):
    settings = replace(SHORT, accumulate=2, validate_every=5)
    alone, history = trained(settings, validate=whole_loss)
    two = replace(settings, devices=2, strategy="ddp_spawn")
    together, shared = trained(two, validate=whole_loss, folder=tmp_path)
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)
    assert shared.table()["term"].tolist() == history.table()["term"].tolist()
    assert shared.table()["value"].to_numpy() == pytest.approx(history.table()["value"], rel=1e-4)
    assert torch.equal(trained(settings, validate=whole_loss, folder=tmp_path)[0], together)
    assert capfd.readouterr().out == ""


def test_a_history_is_a_tidy_table_even_before_anything_happened():
    assert History().table().shape == (0, 4)
