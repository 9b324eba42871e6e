"""The registry of measures. Whatever computes, tests or plots a measure iterates over it."""

import sys
from collections.abc import Mapping

from wor.config.params import Measures
from wor.measures import ape, apl, apl_given_entropy, dtr, rev, sib
from wor.measures.chain_of_embedding import PUBLISHED as CHAIN_OF_EMBEDDING
from wor.measures.effective_depth import PUBLISHED as EFFECTIVE_DEPTH
from wor.measures.head_entropy import PUBLISHED as HEAD_ENTROPY
from wor.measures.hyperlens import PUBLISHED as HYPERLENS
from wor.measures.item_arrays import PASS, ItemArrays
from wor.measures.lens_profile import PUBLISHED as LENS_PROFILE
from wor.measures.measure import Measure
from wor.measures.output_entropy import PUBLISHED as OUTPUT_ENTROPY
from wor.measures.stalt import PUBLISHED as STALT
from wor.measures.state_spread import PUBLISHED as STATE_SPREAD
from wor.measures.tell_tale_norm import PUBLISHED as TELL_TALE_NORM

MEASURES = (
    Measure("apl", "APL", apl.compute, ("kl",), component=True, compute_by_draw=apl.compute_by_draw),
    Measure("ape", "APE", ape.compute, ("entropy", "entropy_no_sink"), component=True),
    Measure("sib", "SIB", sib.compute, ("cosine",), component=True),
    Measure("dtr", "DTR", dtr.compute, ("jsd",)),
    Measure(
        "apl_given_entropy",
        "APL given entropy",
        apl_given_entropy.compute,
        ("kl", "prediction_entropy"),
        variant=True,
        compute_by_draw=apl_given_entropy.compute_by_draw,
    ),
)

COMPONENTS = tuple(measure.name for measure in MEASURES if measure.component)
RIVALS = tuple(measure.name for measure in MEASURES if not (measure.component or measure.variant))
SCORES = ["rev", *(measure.name for measure in MEASURES)]  # the scores that a study reports on
COMPARED = ("effect", "apl", "ape")  # derived against copied, in the designs; effect: mean log KL
MATCHED = ("effect", "apl")  # which also have a value over tokens of equal entropy
GOLD = ("effect", *COMPONENTS, "rev")  # compared on text that people wrote
HEADS = "heads"  # one more rival, without a value per item: a fit on the entropies of all heads
# What others propose: columns of the tables that the study's own analysis does not iterate over.
PUBLISHED = (
    *dtr.PUBLISHED,
    *HYPERLENS,
    *TELL_TALE_NORM,
    *STALT,
    *HEAD_ENTROPY,
    *EFFECTIVE_DEPTH,
    *CHAIN_OF_EMBEDDING,
    *LENS_PROFILE,
    *STATE_SPREAD,
    *OUTPUT_ENTROPY,
)
LABELS = {"rev": "REV"} | {measure.name: measure.label for measure in (*MEASURES, *PUBLISHED)}
# What a score is, in one sentence: the first line of the module that computes it.
_MODULES = {"rev": rev} | {measure.name: sys.modules[measure.compute.__module__] for measure in MEASURES}
MEANINGS = {name: (module.__doc__ or "").partition("\n")[0] for name, module in _MODULES.items()}


CLAIMS = {1: "higher", -1: "lower", 0: "none"}  # of a direction, in words


def describe_measures() -> list[dict]:
    """Return what is known of each measure, the study's own first: one dict of texts each."""
    own = [
        {"name": name, "label": LABELS[name], "formula": meaning, "direction": "higher", "source": "this study"}
        for name, meaning in MEANINGS.items()
        if name != "dtr"
    ]
    published = [
        {
            **{key: getattr(measure, key) for key in ("name", "label", "family", "kind", "formula", "range", "units")},
            "direction": CLAIMS[measure.direction],
            "source": measure.source,
            "reading": measure.reading,
        }
        for measure in PUBLISHED
    ]
    return own + published


def seconds_per_item(name: str, passes: Mapping[str, float]) -> float:
    """Return the seconds of the forward pass and of what else a measure needs, given by pass."""
    measures = [measure for measure in (*MEASURES, *PUBLISHED) if measure.name == name or (name == "rev" and measure.component)]
    required = {array for measure in measures for array in measure.required_arrays}
    return sum(passes[key] for key in {"forward", *(PASS[array] for array in required & PASS.keys())})


def compute_measures(item: ItemArrays, settings: Measures) -> dict[str, float]:
    """Return every measure of an item whose required arrays are stored, ours and published ones."""
    return {
        measure.name: measure.compute(item, settings)
        for measure in (*MEASURES, *PUBLISHED)
        if item.arrays.keys() >= set(measure.required_arrays)
    }
