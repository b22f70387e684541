"""A conversation as a model wants it written: the Jinja template that chat models carry in their file.

Templates were written by many hands for one program each. What they refuse (a system prompt, a role they do not know) or leave out without
a word (a system prompt, or a text where they expect a list of parts) is tried again in a form that they take, and only then refused in
words: a visitor's words that never reach the model would go unnoticed for the whole of an exhibition.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mesh.errors import RoleError

TRIAL = "Aye so it is"  # words that no template has of its own
Messages = list[dict[str, Any]]


def forms(system: str, text: str) -> list[Messages]:
    """The ways to say the same, the plainest first: with a system's words of their own, with these before the visitor's, and both again
    with texts as lists of parts."""
    user = {"role": "user", "content": text}
    plain = [[{"role": "system", "content": system}, user], [{"role": "user", "content": f"{system}\n\n{text}"}]] if system else [[user]]
    return [*plain, *([{**each, "content": [{"type": "text", "text": each["content"]}]} for each in form] for form in plain)]


def _refuse(what: str) -> None:
    """What templates call where they refuse a conversation."""
    raise ValueError(what)


class Chat:
    """One template. `begin` and `end` are the model's own marks."""

    def __init__(self, template: str, begin: str, end: str, model: str, told: Mapping[str, Any] | None = None) -> None:
        """`told` is what the template is told beside the messages. RoleError when it is not Jinja."""
        from llama_cpp.llama_chat_format import Jinja2ChatFormatter

        self._model = model
        self._told = {"bos_token": begin, "eos_token": end, "add_generation_prompt": True, **(told or {})}
        self._settled: dict[str, tuple[int, bool]] = {}  # what the model is told -> the form that the template takes
        try:
            shown = Jinja2ChatFormatter(template=template, bos_token=begin, eos_token=end)
            self._shown = shown._environment  # the template: what it is given is decided here
        except Exception as error:  # whatever Jinja says of somebody's template
            raise self._fault(error) from error
        self._told |= {"strftime_now": shown.strftime_now, "raise_exception": _refuse}

    def prompt(self, system: str, text: str) -> str:
        """`text` as a visitor's words, after what the model is told, up to where the model begins to speak. RoleError where the template
        takes them in no form."""
        if system not in self._settled:
            self._settled[system] = self._settle(system)
        number, none = self._settled[system]
        return self._written(forms(system, text)[number], none)

    def _settle(self, system: str) -> tuple[int, bool]:
        """The first form in which the template refuses nothing and leaves nothing out, and whether it is told that there are no tools (as
        transformers tells it) or nothing of tools: tried once, not for each visitor."""
        refusal = None
        for number, form in enumerate(forms(system, TRIAL)):
            for none in (True, False):
                try:
                    written = "".join(self._written(form, none).split())
                except RoleError as error:  # such as a template without a place for what the model is told
                    refusal = refusal or error
                    continue
                if "".join(system.split()) in written and "".join(TRIAL.split()) in written:
                    return number, none
        raise refusal or RoleError(
            f"the chat template of {self._model} leaves out what it is given", where="option chat",
            instead="give option chat_template a Jinja file of your own, or leave chat out and write option template",
        )  # fmt: skip

    def after_an_answer(self) -> str:
        """What the template writes behind a whole answer, by which the model was taught to end one; "" where that cannot be told."""
        for none in (True, False):
            try:
                return self._written([{"role": "user", "content": "a"}, {"role": "assistant", "content": TRIAL}], none).partition(TRIAL)[2]
            except RoleError:
                continue
        return ""

    def _written(self, messages: Messages, none: bool) -> str:
        tools = {"tools": None, "documents": None, "tool_choice": None, "functions": None, "function_call": None} if none else {}
        try:
            return str(self._shown.render(messages=messages, **tools, **self._told))
        except Exception as error:
            raise self._fault(error) from error

    def _fault(self, error: Exception) -> RoleError:
        return RoleError(
            f"the chat template of {self._model} cannot be filled: {type(error).__name__}: {error}", where="option chat",
            instead="give option chat_template a Jinja file of your own, or leave chat out and write option template",
        )  # fmt: skip
