"""An iteration as pandas frames and arrays by name: what the report, a notebook and a comparison read it through."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from wor import paths, storage
from wor.errors import UserError
from wor.iterations import named, registry

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from wor.config.params import Params

RANGES = ["window_start", "window_end", "answer_start", "answer_end"]
ASKED = ["item_id", "prompt", "paraphrases", "gold", "expected"]
OBSERVED = ["item_id", "text", "tokens", "token_logprob", "token_entropy", "answer", *RANGES]


@dataclass(frozen=True)
class Iteration:
    """A folder of experiments/. Nothing is read before it is asked for; every table is a fresh copy, yours to change.

    Where a method takes ``model``, that is a name of ``models``, and may be left out when there is one.
    """

    folder: Path

    @property
    def name(self) -> str:
        return self.manifest["iteration_id"]

    @cached_property
    def manifest(self) -> dict:
        return registry.read_manifest(self.folder)

    @cached_property
    def config(self) -> dict:
        """The parameters that were used, as plain values."""
        import yaml

        return yaml.safe_load(self._config.read_text(encoding="utf-8"))

    @cached_property
    def params(self) -> Params:
        """The same, checked, as wor.analysis and wor.figures take them. UserError where this version's are others."""
        from wor.config import params

        return params.load_params(self._config)

    @property
    def _config(self) -> Path:
        return self.folder / "config_used.yaml"

    @cached_property
    def environment(self) -> dict:
        """Commit, packages, machine, dtype, memory."""
        return storage.read_json(self.folder / "env_info.json")

    @cached_property
    def timing(self) -> dict:
        return storage.read_json(self.folder / "timing.json")

    @cached_property
    def statistics(self) -> dict[str, dict]:
        """Every estimate by model, each with its interval and n, or the reason why it isn't there."""
        return self._aggregate["models"]

    @cached_property
    def criteria(self) -> dict[str, dict]:
        """``status`` and ``why`` of each success criterion."""
        return self._aggregate["criteria"]

    @cached_property
    def _aggregate(self) -> dict:
        return storage.read_json(self.folder / "results" / "aggregate_statistics.json")

    @cached_property
    def cards(self) -> dict[str, dict]:
        """By model: ``card`` (source, sha256 of its files, architecture, size) and ``calibration`` (thresholds, scales)."""
        return storage.read_json(self.folder / "results" / "model_results.json")

    @property
    def models(self) -> list[str]:
        return list(self.statistics)

    @property
    def datasets(self) -> list[str]:
        return self.config["datasets"]

    @property
    def figures(self) -> dict[str, Path]:
        """The SVG of each figure by name: the PNG, PDF and caption (JSON) lie beside it."""
        return {path.stem.split("__")[0].split("_", 1)[1]: path for path in sorted((self.folder / "figures").glob("*.svg"))}

    def label(self, model: str | None = None) -> str:
        """The name that its files and figures call a model by."""
        if model is None and len(self.models) == 1:
            (model,) = self.models
        if model not in self.statistics:
            raise UserError("model", repr(model), f"{self.name} has {', '.join(self.models)}")
        return self.statistics[model]["label"]

    def table(self, part: str, model: str | None = None) -> pd.DataFrame:
        """A table of results/ by the part of its name after the model's.

        Such as ``metrics`` (a row an item), ``calibration_metrics``, ``temperatures_metrics``, ``twin_metrics``,
        ``literal_metrics``, ``head_removal``, ``head_ranking``, ``specifications``, ``wiki_layers``.
        """
        prefix = f"{self.label(model)}_"
        path = self.folder / "results" / f"{prefix}{part}.csv"
        if not path.is_file():
            have = sorted(each.stem.removeprefix(prefix) for each in path.parent.glob(f"{prefix}*.csv"))
            raise UserError("table", repr(part), f"{self.name} has {', '.join(have)}")
        return storage.read_csv(path)

    def layers(self, model: str | None = None) -> pd.DataFrame:
        """One row an evaluation item and layer, with the item's dataset and role."""
        import pandas as pd

        found = pd.concat([self.table(f"{dataset}_layers", model) for dataset in self.datasets], ignore_index=True)
        return found.merge(self.table("metrics", model)[["item_id", "dataset", "role"]], on="item_id")

    @property
    def has_texts(self) -> bool:
        """Iterations of an earlier version hold measures alone."""
        return (self.folder / paths.asked(self.datasets[0])).is_file()

    def items(self, model: str | None = None) -> pd.DataFrame:
        """One row an evaluation item: its measures, and where the iteration holds them its texts and tokens.

        ``prompt`` (of ``token_len`` tokens), ``paraphrases``, ``gold``, ``expected`` (the right answer); ``text``, which is
        the joined ``tokens``, and of each its ``token_logprob`` and ``token_entropy`` (nats, of the prediction that it
        followed); ``answer``, "" where none is stated; ``window_start``, ``window_end``, ``answer_start``, ``answer_end``:
        ranges ``[start, end)`` of those tokens, the answer's empty where none is stated.
        """
        import pandas as pd

        found = self.table("metrics", model)
        if not self.has_texts:
            return found
        asked = pd.DataFrame([row for dataset in self.datasets for row in storage.read_jsonl(self.folder / paths.asked(dataset))])
        asked = asked.rename(columns={"answer": "expected"})[ASKED]
        said = pd.concat([self._observed(dataset, model) for dataset in self.datasets], ignore_index=True)
        # The CSV's answers are numbers wherever all of them look like one.
        found = found.drop(columns="answer")
        return found.merge(asked, on="item_id", how="left").merge(said, on="item_id", how="left")

    def tokens(self, item_id: str, model: str | None = None) -> pd.DataFrame:
        """One row a token of an item's continuation: ``token``, ``logprob``, ``entropy``, and whether it is ``in_window`` and
        ``in_answer``.
        """
        import pandas as pd

        self._check_texts()
        found = self.items(model).set_index("item_id")
        if item_id not in found.index:
            raise UserError("item", repr(item_id), f"{self.name} has {len(found)}, such as {found.index[0]}")
        row = found.loc[item_id]
        table = pd.DataFrame({"token": row["tokens"], "logprob": row["token_logprob"], "entropy": row["token_entropy"]})
        for part in ("window", "answer"):
            table[f"in_{part}"] = (table.index >= row[f"{part}_start"]) & (table.index < row[f"{part}_end"])
        return table

    def _observed(self, dataset: str, model: str | None) -> pd.DataFrame:
        import pandas as pd

        frame = pd.read_parquet(self._observed_at(dataset, model) / storage.TABLE)
        frame[RANGES] = frame[RANGES].sub(frame["token_len"], axis=0)  # of the prompt: they count from its start
        return frame[OBSERVED]

    def arrays(self, model: str | None = None) -> dict[str, np.ndarray]:
        """What the measures were made from, by name, a row an item in the order of ``items``: see engine.observe.

        ``kl``, ``entropy``, ``entropy_no_sink``, ``jsd`` [N, L, W]; ``entropy_heads`` [N, L, H]; ``cosine`` [N, P, L + 1].
        NaN beyond an item's window.
        """
        import numpy as np

        self._check_texts()
        each = [storage.read_arrays(self._observed_at(dataset, model) / storage.ARRAYS) for dataset in self.datasets]
        return {name: np.concatenate([arrays[name] for arrays in each]) for name in each[0]}

    def _check_texts(self) -> None:
        if not self.has_texts:
            raise UserError(self.name, "has no texts, tokens and arrays", "An earlier version made it: make a new one, wor run")

    def _observed_at(self, dataset: str, model: str | None) -> Path:
        return self.folder / paths.observed(self.label(model), dataset)


def load_iteration(iteration: str | Path = "") -> Iteration:
    """An iteration by its name (the newest when left out), or by the path of its folder.

    A name is looked up in experiments/ of the study that this runs in: in its folder, or in one below it.

    Raises
    ------
    UserError : there is none of that name.
    """
    folder = Path(iteration)
    if iteration == "" or not (folder / paths.MANIFEST).is_file():
        experiments = _study() / "experiments"
        folder = named.find_iteration(str(iteration), named.complete_iterations(experiments), experiments)
    return Iteration(folder.resolve())


def _study() -> Path:
    """The nearest folder, from here upwards, that is a study; this one where none is."""
    here = paths.project()
    return next((folder for folder in (here, *here.parents) if (folder / "dvc.yaml").is_file()), here)
