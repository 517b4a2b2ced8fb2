"""The bundle: one truth file, one file per model, a manifest. Scores need nothing else, and no real cell is in it."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from perturbook.errors import InputError
from perturbook.evaluation.manifest import digest, read_manifest
from perturbook.evaluation.predicted import FACTS, Predicted
from perturbook.evaluation.prediction_file import read_prediction, write_prediction
from perturbook.evaluation.truth import Truth
from perturbook.evaluation.truth_file import TRUTH, read_truth, write_truth
from perturbook.whole import whole_folder

MANIFEST, SCORES = "manifest.json", "scores.csv.gz"
CEILING = "half_duplicate"
"""Method name of the split-half duplicate."""
INTERPOLATED = "interpolated_duplicate"
"""Method name of the duplicate whose uncertain genes are replaced by the training centroid."""
CEILINGS = (CEILING, INTERPOLATED)
"""Method names of what one half of the measured cells says of the other; no prediction may take them."""


@dataclass(frozen=True)
class Bundle:
    """Truth, predictions and manifest of one page and seed."""

    truth: Truth
    predictions: list[Predicted]
    manifest: dict = field(default_factory=dict)

    def __post_init__(self):
        """Raise InputError for two predictions of one name, because their scores could not be told apart."""
        taken = {(name, "") for name in CEILINGS}
        for one in self.predictions:
            if (one.name, one.mode) in taken:
                raise InputError(
                    f"Two predictions are called {f'{one.name} {one.mode}'.strip()!r}; rename the file, and uns['model']['name'] in it."
                )
            taken.add((one.name, one.mode))


def write_bundle(bundle: Bundle, folder: Path) -> Path:
    """Write a bundle whole or not at all; its manifest gains the sha256 of every file and the predictors without one."""
    absent = [{k: getattr(model, k) for k in FACTS} for model in bundle.predictions if model.mean is None]
    with whole_folder(folder) as making:
        write_truth(bundle.truth, making / TRUTH)
        for model in bundle.predictions:
            if model.mean is not None:
                write_prediction(bundle.truth, model, making / model.file)
        about = {**bundle.manifest, "not_applicable": absent, "files": digest(making)}
        (making / MANIFEST).write_text(json.dumps(about, indent=1, sort_keys=True) + "\n")
    return Path(folder)


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle folder whole, predictions in the order of the manifest's models, then by name.

    Raises:
        PerturbookError: names the file that is missing or broken.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; name the folder that holds {TRUTH}.")
    truth = read_truth(folder)
    manifest = read_manifest(folder / MANIFEST) if (folder / MANIFEST).is_file() else {}
    place = {name: i for i, name in enumerate(manifest.get("parameters", {}).get("models", []))}
    files = [path for path in folder.glob("*.h5ad") if path.name != TRUTH]
    files.sort(key=lambda path: (place.get(path.stem.split("-")[0], len(place)), path.name))
    absent = [Predicted(**facts) for facts in manifest.get("not_applicable", [])]
    return Bundle(truth, [read_prediction(path, truth) for path in files] + absent, manifest)
