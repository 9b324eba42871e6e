"""The words of a report, for a reader who has not read the documentation."""

from wor.measures.registry import LABELS, MEANINGS

TERMS = {
    "item": "One prompt with its class: a reasoning task, or a control, which is a text of similar length to write about.",
    "window": "The generated tokens that are measured: the last ones before the stated answer.",
    "calibration": "Control items set aside from all tests. They fix the thresholds and the scale of REV.",
    "null model": "The same architecture, untrained or with permuted weights. It reads the same tokens as the model.",
    "seed": "The number that a null model is drawn by. What differs between seeds is chance.",
    "literal control": "Control articles at full length, not cut to the length of the reasoning prompts.",
    "AUROC": "The probability that a random reasoning item scores higher than a random control; 0.5 is chance.",
    "full baseline": "A fit of the class on everything that the text or the output distribution alone tell: no look inside.",
    "dAUC": "The gain in AUROC over a baseline, on items held out of the fit, with the sign that was predicted.",
    "negative control": "A score that cannot be effort, put through the same tests. What it reaches is no evidence.",
    "partial r": "The correlation of a measure with the class that is left once prompt length and perplexity are accounted for.",
}


def glossary() -> dict[str, str]:
    """Return term -> one-line meaning: the measures, then the words of the study."""
    return {LABELS[key]: meaning for key, meaning in MEANINGS.items()} | TERMS
