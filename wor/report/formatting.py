"""Format numbers for a reader: with their interval, or with the reason why there is no number."""

from collections.abc import Iterable

from wor.config.params import ROLES
from wor.measures.registry import HEADS, LABELS

COVARIATES = {
    "token_len": "prompt tokens",
    "cot_len": "tokens before the closing statement",
    "n_generated": "generated tokens",
    "avg_logprob": "mean log-probability",
    "perplexity": "perplexity",
    "prompt_perplexity": "perplexity of the prompt",
    "effect": "mean log effect of a layer",
    "paraphrase_share": "share of words changed in paraphrases",
    "body_share": "share of the item's own words changed in paraphrases",
    "paraphrase_fluency": "log-probability of paraphrases minus that of the prompt",
    "moved_share": "share of the item's own words moved in paraphrases",
    "window_logprob": "mean log-probability in the window",
    "window_entropy": "mean entropy of the predictions in the window",
    "repeat_share": "share of the window that repeats four tokens",
    "bigram_share": "share of the window that repeats two generated tokens",
    "digit_share": "share of digits in the window's characters",
}
CRITERIA = {
    "no_nan": "REV is defined at every temperature",
    "monotone_in_size": "dAUC grows with model size",
    "partial_r": "partial correlation of REV with the class",
    "temperature_variance": "variance of REV over temperatures",
}


def measure_label(key: str) -> str:
    return LABELS.get(key) or COVARIATES.get(key) or ("all heads" if key == HEADS else key)


def null_model_label(kind: str) -> str:
    """Return ``permuted, embeddings kept`` for the kind ``permuted_embeddings_kept``."""
    return kind.replace("_", ", ", 1).replace("_", " ")


def criterion_label(key: str) -> str:
    if key in CRITERIA:
        return CRITERIA[key]
    size = key.removeprefix("delta_auc_").removesuffix("m")
    return f"dAUC of a model of about {size}M parameters"


def format_estimate(estimate: dict | None, sign: bool = False) -> str:
    """Return ``0.71 [0.60, 0.81]``, or why there is no number. For None return ""."""
    if estimate is None:
        return ""
    if estimate["value"] is None:
        return f"none: {estimate['reason']}"
    form = "+.2f" if sign else ".2f"
    text = f"{estimate['value']:{form}}"
    if estimate.get("low") is not None:
        text += f" [{estimate['low']:{form}}, {estimate['high']:{form}}]"
    return text


def format_attrition(used: dict[str, int], of: dict[str, int] | None) -> str:
    """Return ``27 of 30 reasoning, 41 of 41 control`` from counts by class.

    ``of`` is None in an iteration of an earlier version. The result then has the counts alone.
    """
    return ", ".join(f"{used[role]} of {of[role]} {role}" if of else f"{used[role]} {role}" for role in ROLES)


def class_attrition(result: dict, used: dict[str, int] | None = None) -> str:
    """Return `format_attrition` of the ``used`` items of a model's result, or of all with a REV."""
    quality = result.get("quality")
    return format_attrition(used or result["n"], {role: quality[role]["n"] for role in ROLES} if quality else None)


def format_confidence(results: Iterable[dict]) -> str:
    """Return ``95%``, or ``95% and 90%`` where the results differ."""
    return " and ".join(dict.fromkeys(f"{result['confidence']:.0%}" for result in results))


def format_p(value: float | None) -> str:
    return "" if value is None else "< 0.0001" if value < 1e-4 else f"{value:.2g}"


def format_number(value: float | None, form: str = ".3g") -> str:
    return "" if value is None else f"{value:{form}}"


def format_mean(entry: dict) -> str:
    """Return ``1.23 (0.45)``: the mean, with the standard deviation in brackets."""
    return f"{format_number(entry['mean'])} ({format_number(entry['sd'])})"


def format_share(value: float | None) -> str:
    return format_number(value, ".0%")


def format_needed(needed: dict) -> str:
    """Return how many items per class a gain in AUROC needs, by test and by interval."""
    return (
        f"a dAUC of {needed['wanted']:g} over an AUROC of {needed['baseline']:.2f} is found with a probability of "
        f"{needed['power']:g} from {needed['coefficient']:.0f} items per class by the test of the coefficient, and from "
        f"{needed['interval']:.0f} by dAUC's interval"
    )


def format_seconds(seconds: float) -> str:
    """Return ``45.2 s``, ``12 min 41 s`` or ``3 h 05 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def format_parameters(count: int) -> str:
    return f"{count / 1e6:.0f} million" if count < 1e9 else f"{count / 1e9:.2f} billion"
