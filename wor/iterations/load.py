"""An iteration as pandas frames and arrays, for the report, notebooks and comparisons."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from wor import paths, storage
from wor.errors import UserError
from wor.iterations import lookup, registry
from wor.iterations.configuration import read_configuration

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from wor.config.params import Params

RANGES = ["window_start", "window_end", "answer_start", "answer_end"]
PROMPT_COLUMNS = ["item_id", "prompt", "paraphrases", "gold", "expected"]
RESPONSE_COLUMNS = ["item_id", "text", "tokens", "token_logprob", "token_entropy", "answer", *RANGES]


@dataclass(frozen=True)
class Iteration:
    """One folder of experiments/.

    A file is read when it is first needed. Every table is a fresh copy that the caller may change.
    ``model`` is a name of ``models``. It may be left out where there is one model.
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
        return read_configuration(self.folder)

    @cached_property
    def params(self) -> Params:
        """The same, checked, for analysis and figures. UserError if this version has others."""
        from wor.config import params

        return params.load_params(self.folder / "config_used.yaml")

    @cached_property
    def environment(self) -> dict:
        """Commit, packages, machine, dtype, memory."""
        return storage.read_json(self.folder / "env_info.json")

    @cached_property
    def timing(self) -> dict:
        return storage.read_json(self.folder / "timing.json")

    @cached_property
    def statistics(self) -> dict[str, dict]:
        """Every estimate by model, with its interval and n, or why it is undefined."""
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
        """By model: card (source, sha256, architecture, size), calibration (thresholds, scales)."""
        return storage.read_json(self.folder / "results" / "model_results.json")

    @property
    def models(self) -> list[str]:
        return list(self.statistics)

    @property
    def datasets(self) -> list[str]:
        return self.config["datasets"]

    @property
    def figures(self) -> dict[str, Path]:
        """The SVG of each figure by name. PNG, PDF and caption (JSON) lie beside it."""
        return {path.stem.split("__")[0].split("_", 1)[1]: path for path in sorted((self.folder / "figures").glob("*.svg"))}

    def label(self, model: str | None = None) -> str:
        """Return the name that files and figures use for a model."""
        if model is None and len(self.models) == 1:
            (model,) = self.models
        if model not in self.statistics:
            raise UserError("model", repr(model), f"{self.name} has {', '.join(self.models)}")
        return self.statistics[model]["label"]

    def table(self, part: str, model: str | None = None) -> pd.DataFrame:
        """Return the table ``results/<model>_<part>.csv``.

        ``part`` is ``metrics`` (one row per item), ``calibration_metrics``, ``nulls_metrics``,
        ``temperatures_metrics``, ``literal_metrics``, ``designs_metrics``, ``head_removal``,
        ``specifications``, ``trial``, ``halves``, ``head_ranking``, ``<dataset>_layers`` or
        ``statistics`` (all models, one row per estimate).
        """
        prefix = "" if part == "statistics" else f"{self.label(model)}_"
        path = self.folder / "results" / f"{prefix}{part}.csv"
        if not storage.find_file(path).is_file():
            parts = sorted(table.name.partition(".csv")[0].removeprefix(prefix) for table in path.parent.glob(f"{prefix}*.csv*"))
            raise UserError("table", repr(part), f"{self.name} has {', '.join(parts)}")
        return storage.read_csv(path)

    def layers(self, model: str | None = None) -> pd.DataFrame:
        """Return one row per evaluation item and layer, with the item's dataset and role."""
        import pandas as pd

        layers = pd.concat([self.table(f"{dataset}_layers", model) for dataset in self.datasets], ignore_index=True)
        return layers.merge(self.table("metrics", model)[["item_id", "dataset", "role"]], on="item_id")

    @property
    def has_texts(self) -> bool:
        """Whether there are texts, tokens and arrays. An earlier version kept measures only."""
        return (self.folder / paths.asked(self.datasets[0])).is_file()

    def items(self, model: str | None = None) -> pd.DataFrame:
        """Return one row per evaluation item: its measures, and any texts and tokens.

        - ``prompt`` (``token_len`` tokens), ``paraphrases``, ``gold``, ``expected`` (right answer)
        - ``text``, the continuation, and its ``tokens``
        - ``token_logprob`` and ``token_entropy`` (nats) of the prediction of each token
        - ``answer``, "" where none is stated
        - ``window_start``, ``window_end``, ``answer_start``, ``answer_end``: ranges
          ``[start, end)`` of ``tokens``. The answer's range is empty where none is stated.
        """
        import pandas as pd

        metrics = self.table("metrics", model)
        if not self.has_texts:
            return metrics
        prompts = pd.DataFrame(
            [row for dataset in self.datasets for row in storage.read_jsonl(self.folder / paths.asked(dataset))]
        )
        prompts = prompts.rename(columns={"answer": "expected"})[PROMPT_COLUMNS]
        responses = pd.concat([self._responses(dataset, model) for dataset in self.datasets], ignore_index=True)
        # The CSV's answers are numbers wherever all of them look like one.
        metrics = metrics.drop(columns="answer")
        return metrics.merge(prompts, on="item_id", how="left").merge(responses, on="item_id", how="left")

    def tokens(self, item_id: str, model: str | None = None) -> pd.DataFrame:
        """Return token, logprob, entropy, in_window and in_answer of a continuation's tokens."""
        import pandas as pd

        self._check_texts()
        items = self.items(model).set_index("item_id")
        if item_id not in items.index:
            raise UserError("item", repr(item_id), f"{self.name} has {len(items)}, such as {items.index[0]}")
        row = items.loc[item_id]
        table = pd.DataFrame({"token": row["tokens"], "logprob": row["token_logprob"], "entropy": row["token_entropy"]})
        for part in ("window", "answer"):
            table[f"in_{part}"] = (table.index >= row[f"{part}_start"]) & (table.index < row[f"{part}_end"])
        return table

    def _responses(self, dataset: str, model: str | None) -> pd.DataFrame:
        import pandas as pd

        frame = pd.read_parquet(self._records(dataset, model) / storage.TABLE)
        frame[RANGES] = frame[RANGES].sub(frame["token_len"], axis=0)  # they count from the prompt's start
        return frame[RESPONSE_COLUMNS]

    def arrays(self, model: str | None = None) -> dict[str, np.ndarray]:
        """Return the measures' arrays (see engine.observe), one row per item, ordered as ``items``.

        ``kl``, ``entropy``, ``entropy_no_sink`` and ``jsd`` are [N, L, W], ``entropy_heads``
        is [N, L, H] and ``cosine`` is [N, P, L + 1]. Values beyond an item's window are NaN. The
        others are what the published measures are made from.
        """
        import numpy as np

        self._check_texts()
        parts = [storage.read_arrays(self._records(dataset, model) / storage.ARRAYS) for dataset in self.datasets]
        return {name: np.concatenate([arrays[name] for arrays in parts]) for name in parts[0]}

    def _check_texts(self) -> None:
        if not self.has_texts:
            raise UserError(self.name, "has no texts, tokens and arrays", "An earlier version made it. Make a new one: wor run")

    def _records(self, dataset: str, model: str | None) -> Path:
        return self.folder / paths.observed(self.label(model), dataset)


def load_iteration(iteration: str | Path = "") -> Iteration:
    """Return an iteration by its name, DVC experiment's name or folder's path; "" is the newest.

    A name is looked up in the study around the current folder. Raise UserError where none is.
    """
    folder = Path(iteration)
    if iteration == "" or not (folder / paths.MANIFEST).is_file():
        experiments = _study() / "experiments"
        folder = lookup.find_iteration(str(iteration), lookup.complete_iterations(experiments), experiments)
    return Iteration(folder.resolve())


def _study() -> Path:
    """Return the nearest folder upwards that has a dvc.yaml; the current one where none has."""
    current = paths.project()
    return next((folder for folder in (current, *current.parents) if (folder / paths.PIPELINE).is_file()), current)
