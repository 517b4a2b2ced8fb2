"""`scdca` and its ablations: one row per arm, all with one set of training settings.

Torch loads when an arm is fitted. Arms and what each is for: `scdca.md` section 7. What the paper leaves open is fixed in
`FORM` and `TRAINING`, which were chosen on validation conditions of the simulated drug screen alone (our choice).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd

from perturbook.data.schema import GENETIC
from perturbook.models.protocol import Prediction, Query, Training, model

FORM = {"head": "delta_linear", "bottleneck": 36, "generator": "shared", "shared_width": 32}
"""Switches of every arm that does not set them itself."""
TRAINING = {
    "epochs": 50,
    "least_steps": 2000,
    "batch_size": 16,
    "learning_rate": 3e-3,
    "warmup_steps": 50,
    "final_share": 0.0,
    "genes_per_step": 128,
    "tokens_per_step": 2048,
    "hold_validation": False,
}
"""Fields of `ScDCA` for every arm that does not set them itself."""
ARMS: dict[str, tuple[str, dict[str, Any]]] = {
    "scdca": ("scDCA adapter", {}),
    "scdca_head_only": ("Trained head, no adapter", {"method": "head_only"}),
    "scdca_static": ("Adapter, not told the drug", {"conditioning": "static"}),
    "scdca_scale_shift": ("Adapter, scale and shift", {"conditioning": "scale_shift", "bottleneck": 34}),
    "scdca_shuffled": ("Adapter, drugs shuffled", {"encoder": "shuffled"}),
    "scdca_permuted": ("Adapter, drugs permuted at test", {"encoder": "permuted"}),
    "scdca_random": ("Adapter, random vectors", {"encoder": "random"}),
    "scdca_no_dose": ("Adapter, not told the dose", {"dose": "none"}),
    "scdca_up": (
        "Adapter, drug term behind U",
        {"bias_location": "up", "generator": "factorised", "bottleneck": 16},
    ),
    "scdca_no_residual": ("Adapter without residual path", {"residual": False}),
    "scdca_attention": ("Adapter behind attention", {"position": "attention"}),
    "scdca_both": ("Adapter behind both sublayers", {"position": "both", "bottleneck": 18}),
    "scdca_r4": ("Adapter of width 4", {"bottleneck": 4}),
    "scdca_r8": ("Adapter of width 8", {"bottleneck": 8}),
    "scdca_r16": ("Adapter of width 16", {"bottleneck": 16}),
    "scdca_linear_generator": (
        "Adapter of width 16, one map per layer",
        {"generator": "linear", "bottleneck": 16},
    ),
    "scdca_rdkit": ("Adapter, RDKit descriptors", {"encoder": "rdkit"}),
    "scdca_linear": ("Adapter, head that starts anew", {"head": "linear"}),
    "scdca_lora": ("LoRA", {"method": "lora", "learning_rate": 3e-3}),
    "scdca_full": ("Full fine-tuning (over budget)", {"method": "full", "learning_rate": 1e-3}),
    "scdca_random_backbone": ("Adapter on a random backbone", {"backbone": "random"}),
}
"""Name in the registry -> title, and what differs: switches of `Config`, fields of `ScDCA`, and `encoder`."""


class Arm:
    """One arm, fitted to whatever the data offer: molecules, genes or neither; doses or none; counts or intensities.

    A drug with a structure is told by its Morgan bits, a gene by its vector in the backbone's table, anything else by a
    fixed random vector. The dose is appended where training holds several. Bulk intensities, which no scGPT was trained
    on, enter as rank bins; the head adds to the intensity itself. All of it is our choice.

    The model is trained once, on the cells without the reference controls, and asked twice, because training takes long.
    """

    differs: dict[str, Any] = {}
    fits_once = True

    def __init__(self, **training: Any):
        """Args: `training`, fields of `ScDCA` that replace those of `TRAINING`, such as steps."""
        self.training = training

    def fit(self, train: Training) -> "Arm":
        """Train; raises NotApplicable where the data have no condition, structure or gene to train on."""
        self.inner = self._made(train).fit(train)
        if self.differs.get("encoder") == "permuted":
            self.inner.encoding.permute()
        return self

    def describe(self, train: Training) -> dict[str, Any]:
        """What `fit` would train: switches, encoder, settings, and the share of whole-human scGPT that is trained."""
        from perturbook.models.scdca import trainable_share

        made = self._made(train)
        treated = _treated(train)
        encoder = made.encoder().fit(
            train.perturbations, sorted(treated["perturbation"].astype(str).unique())
        )
        return {
            "encoder": {"name": encoder.name, "m": encoder.width, **encoder.settings},
            "switches": made.config.as_dict(),
            "training": {name: getattr(made, name) for name in (*TRAINING, "least_cells", "seed")},
            "backbone": made.backbone,
            "trainable_share": trainable_share(made.config, encoder.width),
        }

    def _made(self, train: Training):
        """The model for these data, not fitted."""
        from perturbook.models.scdca import Config, ScDCA

        treated = _treated(train)
        bulk = train.cells.uns["value_kind"] == "log_intensity"
        switches = {
            **FORM,
            "dose": "append" if treated["dose_um"].nunique() > 1 else "none",
            "values": "bins" if bulk else "lognorm",
        }
        fields = {**TRAINING, "least_cells": 1 if bulk else 3}
        for name, value in {**self.differs, **self.training}.items():
            if name != "encoder":
                (fields if name in ScDCA.__dataclass_fields__ else switches)[name] = value
        return ScDCA(config=Config(**switches), encoder=self._encoder(train, treated), **fields)

    def _encoder(self, train: Training, treated: pd.DataFrame) -> Callable:
        """What makes the encoder of this arm for these perturbations."""
        from perturbook.models.molecules import ENCODERS

        smiles = train.perturbations.get("smiles", pd.Series(dtype=object))
        names = sorted(treated["perturbation"].astype(str).unique())
        told = smiles.reindex(names).fillna("").astype(bool).all()
        own = "morgan" if told else "gene" if set(treated["kind"]) <= set(GENETIC) else "random"
        asked = self.differs.get("encoder", own)
        if asked in ("shuffled", "permuted"):
            return partial(ENCODERS["shuffled"], of=own, at_test_only=asked == "permuted", names=names)
        return ENCODERS[asked]

    def predict(self, query: Query) -> Prediction:
        """Mean profile of each condition, `(conditions, genes)`."""
        return self.inner.predict(query)


def _treated(train: Training) -> pd.DataFrame:
    return train.cells.obs[~train.cells.obs["is_control"].to_numpy(bool)]


for _name, (_title, _differs) in ARMS.items():
    _arm = type(
        _name,
        (Arm,),
        {
            "differs": _differs,
            "__module__": __name__,
            "__doc__": f"{_title}: see `Arm`. Source: scdca.md section 7.",
        },
    )
    model(_name, title=_title, role="model")(_arm)
