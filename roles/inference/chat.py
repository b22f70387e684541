"""A conversation as a model wants it written: the Jinja template that chat models carry in their file.

Templates were written by many hands for one program each; what they refuse (a system prompt, a role they do not know) is
tried again in a form that they take, and only then refused in words.
"""

from __future__ import annotations

from mesh.errors import RoleError


class Chat:
    """One template. `begin` and `end` are the model's own marks."""

    def __init__(self, template: str, begin: str, end: str, model: str) -> None:
        """RoleError when the template is not Jinja."""
        from llama_cpp.llama_chat_format import Jinja2ChatFormatter

        self._model = model
        try:
            self._shown = Jinja2ChatFormatter(template=template, bos_token=begin, eos_token=end)
        except Exception as error:  # whatever Jinja says of somebody's template
            raise self._fault(error) from error

    def prompt(self, system: str, text: str) -> str:
        """`text` as a visitor's words, after what the model is told, up to where the model begins to speak."""
        user = [{"role": "user", "content": text}]
        if not system:
            return self._written(user)
        try:
            return self._written([{"role": "system", "content": system}, *user])
        except RoleError:  # a template without a place for it: it stands before the first words
            return self._written([{"role": "user", "content": f"{system}\n\n{text}"}])

    def _written(self, messages: list[dict[str, str]]) -> str:
        try:
            return str(self._shown(messages=messages).prompt)  # type: ignore[arg-type]
        except Exception as error:
            raise self._fault(error) from error

    def _fault(self, error: Exception) -> RoleError:
        return RoleError(
            f"the chat template of {self._model} cannot be filled: {type(error).__name__}: {error}", where="option chat",
            instead="give option chat_template a Jinja file of your own, or leave chat out and write option template",
        )  # fmt: skip
