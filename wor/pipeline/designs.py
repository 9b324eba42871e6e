"""Make responses whose text is given, for stage `designs`. None of them is generated.

A copy has the tokens of another response, under a prompt that shows its text and asks to copy it.
A gold response has text that people wrote: the worked solution, or the article's next sentences.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from wor.data import build
from wor.data.items import Item
from wor.engine.observe import PromptAndContinuation
from wor.pipeline.observation import Response
from wor.pipeline.selection import gold_length
from wor.pipeline.session import Session

NO_PARAPHRASES = {"paraphrases": [], "paraphrase_shares": [], "paraphrase_reason": ""}


def copy_responses(run: Session, responses: Sequence[Response]) -> list[Response]:
    """Return each response under a prompt that shows its text and asks to copy it.

    The tokens and the window stay. Raises UserError for a prompt longer than the context.
    """
    return [_copy(run, response) for response in responses]


def _copy(run: Session, response: Response) -> Response:
    item, sequence, params = response.item, response.sequence, run.params
    prompt = build.assemble_prompt(params.prompt.frames[0], response.text, params.designs.copy_instruction)
    ids = run.lm.encode_prompt(prompt, len(sequence.continuation), item.item_id)
    item = item.model_copy(update={"prompt": prompt, **NO_PARAPHRASES})
    return replace(response, item=item, sequence=replace(sequence, prompt=ids))


def gold_responses(run: Session, items: Sequence[Item]) -> list[Response]:
    """Return the first tokens of each item's gold text after its prompt, see `gold_length`.

    They are the window, whatever ``window.rule`` is. Raises UserError for a prompt or paraphrase
    longer than the context.
    """
    return [_gold(run, item) for item in items]


def _gold(run: Session, item: Item) -> Response:
    lm, size, n = run.lm, gold_length(run.params), run.params.designs.paraphrases
    tokens = lm.encode(build.gold_continuation(item))[:size]
    prompt = lm.encode_prompt(item.prompt, size, item.item_id)
    first: dict = {name: getattr(item, name)[:n] for name in ("paraphrases", "paraphrase_shares")} if n else NO_PARAPHRASES
    for paraphrase in first["paraphrases"]:
        lm.encode_prompt(paraphrase, size, item.item_id)
    return Response(
        item=item.model_copy(update=first),
        sequence=PromptAndContinuation(prompt, tokens, 0, len(tokens)),
        text=lm.decode(tokens),
        answer="",
        closing_span=(len(tokens), len(tokens)),
        correct=math.nan,
        finished=False,
        exclusion_reason="" if len(tokens) == size else f"{len(tokens)} tokens of gold text, fewer than {size}",
    )
