"""Compare the scales that SIB could have, by how well one item's paraphrases agree on them.

Reads the calibration controls of the run in this folder, and no evaluation item:
``python -m benchmarks.sib_scale``. SIB.md has the tables.
"""

import numpy as np
import pandas as pd
import pingouin

from wor import paths, storage
from wor.config import params
from wor.measures.sib import MIN_DISTANCE, layer_index

SCALES = {
    "cosine": lambda cosine: cosine,
    "log distance": lambda cosine: -np.log(np.maximum(1 - cosine, MIN_DISTANCE)),
    "Fisher's z": lambda cosine: np.arctanh(np.minimum(cosine, 1 - MIN_DISTANCE)),
}


def main() -> None:
    settings = params.load_params(paths.PARAMS)
    for model in settings.models:
        cosines = storage.read_arrays(paths.REFERENCE / model / "arrays.safetensors")["cosine"].astype(float)
        cosines = cosines[:, :, layer_index(settings.measures.sib_depth, cosines.shape[2] - 1)]
        cosines = cosines[~np.isnan(cosines).any(1)]
        print(f"{model}: {len(cosines)} calibration controls with {cosines.shape[1]} paraphrases")
        for name, scale in SCALES.items():
            rows = pd.DataFrame(scale(cosines)).melt(ignore_index=False).reset_index()
            table = pingouin.intraclass_corr(rows, targets="index", raters="variable", ratings="value").set_index("Type")
            one = table.loc[next(kind for kind in ("ICC1", "ICC(1,1)") if kind in table.index)]
            print(f"| {name} | {one['ICC']:.2f} | {one.filter(like='CI').iloc[0]} |")


if __name__ == "__main__":
    main()
