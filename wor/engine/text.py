"""Turn texts into token IDs as a model was trained to read them: every text of a study."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from jinja2 import Template, meta

from wor import compat
from wor.errors import UserError

DATE = date(2024, 7, 26)  # what a chat template writes as today, so that tomorrow's prompts are today's
TEMPLATE = "{prompt}\n\n"
_GIVEN = {"messages", "add_generation_prompt"}  # to each template
_QUESTION, _REPLY = "Is it so?", "It-is-so."


class PromptTokenizer:
    """A tokenizer, and what stands around a prompt: a template and the begin token.

    Parameters
    ----------
    hf : a tokenizer of transformers.
    template : text around ``{prompt}``, for a tokenizer without a chat template.
    begin_token : whether each prompt begins with the tokenizer's begin token. None: as in training.
        That is as the chat template writes it, or else as the tokenizer puts it before a text.
    chat_template_kwargs : arguments of the chat template.

    Attributes
    ----------
    begin : token IDs put before each prompt. Those that a chat template writes are not among them.
    end_tokens : the tokenizer's end token, and the one with which the chat template ends a turn.
    date : what the chat template gets as today's date. None if it does not ask.

    Raises UserError for a begin token that the tokenizer lacks, for arguments that the chat
    template does not know, and for a chat template that fails or leaves out the prompt.
    """

    def __init__(
        self,
        hf,
        template: str = TEMPLATE,
        begin_token: bool | None = None,
        chat_template_kwargs: Mapping[str, Any] | None = None,
    ):
        self.hf, self.template, self.chat_template_kwargs = hf, template, dict(chat_template_kwargs or {})
        self.date = self._fix_date()
        self.begin = self._begin(begin_token)
        self.end_tokens = frozenset(token for token in (hf.eos_token_id, self._end_of_turn()) if token is not None)
        if _QUESTION not in self.render(_QUESTION):
            raise UserError("chat template", "leaves out the user's turn", "Mend it, or remove it for prompt.template")

    @property
    def has_chat_template(self) -> bool:
        return self.hf.chat_template is not None

    def render(self, prompt: str) -> str:
        """Return the prompt in the chat template, or in ``template`` if there is none."""
        if not self.has_chat_template:
            return self.template.replace("{prompt}", prompt)
        return self._render_turns([{"role": "user", "content": prompt}], add_generation_prompt=True)

    def encode(self, text: str) -> list[int]:
        """Return the token IDs of a text that follows another: it has no begin token."""
        return self.hf(text, add_special_tokens=False)["input_ids"]

    def encode_prompt(self, prompt: str) -> list[int]:
        """Return the token IDs of the rendered prompt, after the begin token if it needs one."""
        ids = self.encode(self.render(prompt))
        return ids if ids[: len(self.begin)] == self.begin else self.begin + ids

    def count(self, text: str) -> int:
        return len(self.encode(text))

    def count_prompt(self, prompt: str) -> int:
        return len(self.encode_prompt(prompt))

    def decode(self, ids: Sequence[int]) -> str:
        return self.hf.decode(ids, clean_up_tokenization_spaces=False)

    def _begin(self, wanted: bool | None) -> list[int]:
        if wanted is None and not self.has_chat_template:
            plain, ids = self.encode(_QUESTION), self.hf(_QUESTION)["input_ids"]
            return next((ids[:start] for start in range(len(ids)) if ids[start : start + len(plain)] == plain), [])
        if not wanted:
            return []
        if self.hf.bos_token_id is None:
            raise UserError(
                "begin_token", wanted, "The tokenizer has none (bos_token): leave begin_token out, or set it to false"
            )
        return [self.hf.bos_token_id]

    def _fix_date(self) -> date | None:
        """Fix the chat template's date, and check its arguments."""
        key = "chat_template_kwargs"
        if not self.has_chat_template:
            if self.chat_template_kwargs:
                raise UserError(key, self.chat_template_kwargs, "The tokenizer has no chat template: remove them")
            return None
        compiled, text = self._compile(), self.hf.get_chat_template()
        names = meta.find_undeclared_variables(compiled.environment.parse(text))
        if unknown := sorted(self.chat_template_kwargs.keys() - (names - _GIVEN)):
            remedy = f"The chat template has no such argument. It reads {', '.join(sorted(names - _GIVEN)) or 'none'}"
            raise UserError(f"{key}.{unknown[0]}", repr(self.chat_template_kwargs[unknown[0]]), remedy)
        return DATE if "strftime_now" in text else None

    def _compile(self) -> Template:
        """Compile the chat template, with the fixed date."""
        try:
            return compat.compile_chat_template(self.hf.get_chat_template(), DATE.strftime)
        except Exception as error:  # a syntax error, or several templates without a default
            raise _template_error(error) from None

    def _end_of_turn(self) -> int | None:
        """Return the token that the chat template writes after a reply, or None."""
        if not self.has_chat_template:
            return None
        turns = [{"role": "user", "content": _QUESTION}, {"role": "assistant", "content": _REPLY}]
        try:
            after = self._render_turns(turns).rpartition(_REPLY)[2].lstrip()
        except UserError:
            return None  # a template for one turn
        tokens = {token.content: index for index, token in self.hf.added_tokens_decoder.items()}
        return tokens.get(max(filter(after.startswith, tokens), key=len, default=""))

    def _render_turns(self, turns: list[dict[str, str]], **options: bool) -> str:
        self._compile()  # transformers keeps compiled templates, but not for ever
        try:
            return self.hf.apply_chat_template(turns, tokenize=False, **options, **self.chat_template_kwargs)
        except Exception as error:  # a template is a program, and fails as it likes
            raise _template_error(error) from None


def _template_error(error: Exception) -> UserError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    remedy = "It gets one user turn: give it what it asks for in chat_template_kwargs, or mend the template"
    return UserError("chat template", f"refuses a prompt ({reason})", remedy)
