"""HyperLens effort, a published rival: the confidence that earlier layers still lack.

Source: arXiv 2605.05741. Effort = mean over window positions t and layers l of c(L, t) - c(l, t).
c(l, t) is the logit lens's probability, after layer l, of the token that is ranked first at the
end. Range [-1, 1], a probability. Direction: its authors claim that more effort is higher.

Our reading, as only the abstract could be read: there, an early state passes through the last m
layers before it is read. This is the form with m = 0.
"""

from wor.config.params import Measures
from wor.measures.item_arrays import ItemArrays
from wor.measures.measure import PublishedMeasure, mean


def compute(item: ItemArrays, settings: Measures) -> float:
    """Return the mean lack of confidence over layers and window tokens."""
    confidence = item.arrays["lens_probability"].astype(float)
    return mean(confidence[-1] - confidence)


PUBLISHED = (
    PublishedMeasure(
        "hyperlens",
        "HyperLens effort",
        compute,
        ("lens_probability",),
        family="HyperLens",
        kind="rival",
        formula="mean over l and t of c(L, t) - c(l, t), c the lens's probability of the final argmax",
        range="-1 to 1",
        units="probability",
        direction=1,
        source="arXiv 2605.05741",
        reading="only the abstract was readable; no layers between the state and the lens (m = 0)",
    ),
)
