"""The bodies of requests, checked with vLLM's rules and in its words. What is not acted on is refused."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from engine_standin.errors import ApiError, invalid, not_done

_INT64 = 2**63
_MAX_REPORTED = 10
_MAX_CHARS = 200

# Fields that change the answer of the real engine and are not acted on here, with the values that mean "off".
_REFUSED: dict[str, tuple[Any, ...]] = {
    "logprobs": (None, False),
    "top_logprobs": (None, 0),
    "prompt_logprobs": (None,),
    "logprob_token_ids": (None, []),
    "use_beam_search": (None, False),
    "echo": (None, False),
    "suffix": (None, ""),
    "prompt_embeds": (None, []),
    "logit_bias": (None, {}),
    "allowed_token_ids": (None, []),
    "bad_words": (None, []),
    "stop_token_ids": (None, []),
    "repetition_detection": (None,),
    "thinking_token_budget": (None, -1),
    "return_token_ids": (None, False),
    "return_prompt_text": (None, False),
    "continue_final_message": (None, False),
    "documents": (None, []),
    "truncate_prompt_tokens": (None,),
    "priority": (None, 0),
    "kv_transfer_params": (None, {}),
    "ec_transfer_params": (None, {}),
    "mm_processor_kwargs": (None, {}),
    "media_io_kwargs": (None, {}),
}


class StreamOptions(BaseModel):
    """What a stream tells beside the tokens."""

    model_config = ConfigDict(extra="allow")

    include_usage: bool | None = False
    continuous_usage_stats: bool | None = False


class Generation(BaseModel):
    """Fields that chat and text completions share."""

    model_config = ConfigDict(extra="allow")

    model: str | None = None
    max_tokens: int | None = None
    n: int | None = 1
    seed: Annotated[int, Field(ge=-_INT64, lt=_INT64)] | None = None
    stop: str | list[str] | None = []
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    include_stop_str_in_output: bool = False
    ignore_eos: bool = False
    min_tokens: int = 0
    response_format: dict[str, Any] | None = None
    structured_outputs: dict[str, Any] | None = None
    priority: int = 0
    request_id: str | None = None
    stream_interval: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _before(cls, data: Any) -> Any:
        if isinstance(data, dict):
            _check_common(data)
        return data

    @property
    def stops(self) -> list[str]:
        """Return the stop strings as a list."""
        return [self.stop] if isinstance(self.stop, str) else list(self.stop or [])

    def check_sampling(self, *, max_tokens: int) -> None:
        """Refuse sampling parameters outside their ranges; `max_tokens` is the final number."""
        n = 1 if self.n is None else self.n
        if n < 1:
            raise invalid(f"n must be at least 1, got {n}.")
        _between("presence_penalty", self.presence_penalty, -2, 2)
        _between("frequency_penalty", self.frequency_penalty, -2, 2)
        if self.repetition_penalty is not None and self.repetition_penalty <= 0:
            raise invalid(f"repetition_penalty must be greater than zero, got {self.repetition_penalty}.")
        heat = 1.0 if self.temperature is None else self.temperature
        if heat < 0:
            raise invalid(f"temperature must be non-negative, got {heat}.", param="temperature", value=heat)
        if heat > 2:
            raise invalid(f"temperature must be in [0, 2], got {heat}.", param="temperature", value=heat)
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise invalid(f"top_p must be in (0, 1], got {self.top_p}.", param="top_p", value=self.top_p)
        if self.top_k is not None and self.top_k < -1:
            raise invalid(f"top_k must be 0 (disable), or at least 1, got {self.top_k}.")
        _between("min_p", self.min_p, 0, 1)
        if max_tokens < 1:
            text = f"max_tokens must be at least 1, got {max_tokens}."
            raise invalid(text, param="max_tokens", value=max_tokens)
        if self.min_tokens < 0:
            raise invalid(f"min_tokens must be greater than or equal to 0, got {self.min_tokens}.")
        if self.min_tokens > max_tokens:
            raise invalid(f"min_tokens must be less than or equal to max_tokens={max_tokens}, got {self.min_tokens}.")
        if any(not stop for stop in self.stops):
            raise invalid("stop cannot contain an empty string.")
        if heat < 1e-5 and n > 1:
            raise invalid(f"n must be 1 when using greedy sampling, got {n}.")


class ChatRequest(Generation):
    """`POST /v1/chat/completions`."""

    messages: list[dict[str, Any]]
    max_completion_tokens: int | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: Literal["none", "auto", "required"] | dict[str, Any] | None = "none"
    parallel_tool_calls: bool | None = True
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    include_reasoning: bool = True
    add_generation_prompt: bool = True
    chat_template: str | None = None
    chat_template_kwargs: dict[str, Any] | None = None

    @model_validator(mode="before")
    @classmethod
    def _tools(cls, data: Any) -> Any:
        return _check_tools(data) if isinstance(data, dict) else data

    @property
    def wanted_tokens(self) -> tuple[int | None, str]:
        """Return the longest answer asked for, and the name of the field that says so."""
        if self.max_completion_tokens is not None:
            return self.max_completion_tokens, "max_completion_tokens"
        return self.max_tokens, "max_tokens"


class CompletionRequest(Generation):
    """`POST /v1/completions`; one prompt as text or token numbers, or several."""

    prompt: list[Annotated[int, Field(ge=0)]] | list[list[Annotated[int, Field(ge=0)]]] | str | list[str]
    max_tokens: int | None = 16

    @model_validator(mode="before")
    @classmethod
    def _prompt(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        if data.get("prompt") in (None, "", []):
            raise invalid("Either prompt or prompt_embeds must be provided and non-empty.", param="prompt")
        return data if data.get("max_tokens") is not None else {**data, "max_tokens": 16}


class TokenizeRequest(BaseModel):
    """`POST /tokenize`: a prompt, or messages."""

    model_config = ConfigDict(extra="allow")

    model: str | None = None
    prompt: str | None = None
    messages: list[dict[str, Any]] | None = None
    add_special_tokens: bool | None = None
    return_token_strs: bool | None = False


class DetokenizeRequest(BaseModel):
    """`POST /detokenize`."""

    model_config = ConfigDict(extra="allow")

    model: str | None = None
    tokens: list[Annotated[int, Field(ge=0, lt=_INT64)]]


def _between(name: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:
        raise invalid(f"{name} must be in [{low}, {high}], got {value}.")


def _check_common(data: Mapping[str, Any]) -> None:
    if data.get("stream_options") and not data.get("stream"):
        raise invalid("Stream options can only be defined when `stream=True`.", param="stream_options")
    form = data.get("response_format")
    if isinstance(form, dict):
        if form.get("type") == "json_schema" and form.get("json_schema") is None:
            raise invalid(
                "When response_format type is 'json_schema', the 'json_schema' field must be provided.",
                param="response_format",
            )
        if form.get("type") not in ("text", "json_object", "json_schema"):
            if form.get("type") == "structural_tag":
                raise not_done("response_format type 'structural_tag'", param="response_format")
            raise ApiError(
                "1 validation error:\n  {'type': 'literal_error', 'loc': 'body.response_format.type', 'msg': "
                f"\"Input should be 'text', 'json_object' or 'json_schema'\", 'input': {form.get('type')!r}}}",
                kind="Bad Request",
                param="body.response_format.type",
            )
    structured = data.get("structured_outputs")
    if isinstance(structured, dict):
        kinds = [key for key, value in structured.items() if value is not None]
        if sum(key in ("json", "regex", "choice") for key in kinds) > 1:
            raise invalid(
                "You can only use one kind of constraints for structured outputs ('json', 'regex' or 'choice')."
            )
        for kind in kinds:
            if kind not in ("json", "choice", "json_object"):
                raise not_done(f"structured_outputs.{kind}", param="structured_outputs")
    for name, off in _REFUSED.items():
        if name in data and data[name] not in off:
            raise not_done(f"`{name}`", param=name)


def _check_tools(data: dict[str, Any]) -> dict[str, Any]:
    if data.get("tools") == []:
        raise invalid(
            "`tools` must not be an empty array. Either provide at least one tool or omit the field entirely.",
            param="tools",
        )
    if "tool_choice" not in data and data.get("tools"):
        data = {**data, "tool_choice": "auto"}
    choice = data.get("tool_choice")
    if choice is None or choice == "none":
        return data
    if data.get("tools") is None:
        raise invalid("When using `tool_choice`, `tools` must be set.", param="tool_choice")
    if not isinstance(choice, dict):
        if choice not in ("auto", "required"):
            raise invalid(
                f"Invalid value for `tool_choice`: {choice}! "
                'Only named tools, "none", "auto" or "required" are supported.',
                param="tool_choice",
            )
        return data
    usage = 'Correct usage: `{"type": "function", "function": {"name": "my_function"}}`'
    function = choice.get("function")
    if not isinstance(function, dict):
        raise invalid(
            f"Invalid value for `function`: `{function}` in `tool_choice`! {usage}",
            param="tool_choice.function",
        )
    if "name" not in function:
        raise invalid(
            f"Expected field `name` in `function` in `tool_choice`! {usage}",
            param="tool_choice.function.name",
        )
    if all(tool.get("function", {}).get("name") != function["name"] for tool in data["tools"]):
        raise invalid(
            "The tool specified in `tool_choice` does not match any of the specified `tools`",
            param="tool_choice",
        )
    return data


def _shown(value: Any) -> Any:
    if isinstance(value, list | tuple | set | dict):
        return f"<{type(value).__name__} of {len(value)} items>"
    text = value if isinstance(value, str) else str(value)
    return text[:_MAX_CHARS] + "...[truncated]" if len(text) > _MAX_CHARS else text


def malformed(error: ValidationError) -> ApiError:
    """Return the 400 that vLLM makes of a body that does not fit: the first ten faults, each with its place."""
    faults = error.errors(include_url=False)
    lines = []
    param = None
    for fault in faults:
        names = ["body", *(str(part) for part in fault["loc"] if not _internal(str(part)))]
        param = param or ".".join(names)
        shown: dict[str, Any] = {**fault, "loc": ".".join(names), "input": _shown(fault["input"])}
        lines.append(f"  {shown}")
    label = "error" if len(faults) == 1 else "errors"
    text = f"{len(faults)} validation {label}:\n" + "\n".join(lines[:_MAX_REPORTED])
    if len(faults) > _MAX_REPORTED:
        text += f"\n  ...and {len(faults) - _MAX_REPORTED} more {label}"
    return ApiError(text, kind="Bad Request", param=param)


def _internal(part: str) -> bool:
    return any(mark in part for mark in "[](){}") or part in ("str", "int", "bool", "float", "list", "dict")
