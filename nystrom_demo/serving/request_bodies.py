"""What a request's body may hold: strict JSON, the shape that the called handler takes, values its components know.

Gradio itself accepts NaN and lone surrogates, takes None and lists where a choice is wanted, calls a handler with too
few values, and answers some of this with a bare 500 or by sending a bad value back whole.
"""

import json
import math
import re
from collections.abc import Iterator
from typing import Any

import gradio as gr

from nystrom_demo.errors import UserError
from nystrom_demo.limits.validation import check_choice, check_number, check_switch, check_text, shown
from nystrom_demo.serving.gradio_patches import Pages, component_of

MAX_DEPTH = 32
MAX_VALUES = 10_000  # texts, lists, objects and members in all; a page of ours sends some hundred
TOKEN = re.compile(r"[\w-]{1,64}\Z", re.ASCII)
SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
# Gradio fetches or copies {"path": …, "meta": {"_type": "gradio.FileData"}}, wherever it stands, before any handler.
FILE_NAMES = frozenset(("path", "url", "meta", "_type"))


def parse_json(body: bytes) -> Any:
    """The value of `body`, strict JSON in UTF-8: no NaN, no infinity, no lone surrogate, no name twice in an object, at
    most 32 levels deep and of at most 10,000 values.

    What would take long is refused by a count of bytes, before anything is made of it.
    """
    if _structure(body) > MAX_VALUES:
        raise UserError(f"The body must have at most {MAX_VALUES:,} values.")
    try:
        hooks = {"parse_constant": _no_constant, "parse_float": _finite, "object_pairs_hook": _object_of}
        value = json.loads(body.decode("utf-8"), **hooks)
        if SURROGATE.search(body):
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UserError:
        raise
    except UnicodeError:
        raise UserError("The body must be UTF-8 without lone surrogates.") from None
    except (ValueError, RecursionError):
        raise UserError(f"The body must be JSON, at most {MAX_DEPTH} levels deep.") from None
    for _ in _levels(value):
        pass
    return value


def _structure(body: bytes) -> int:
    """How many texts, brackets, commas and colons `body` has outside its texts; as of proper JSON, whatever it is."""
    plain = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    texts = plain.count(b'"') // 2
    if texts > MAX_VALUES:
        return texts
    outside = b"".join(plain.split(b'"')[::2])
    return texts + sum(outside.count(sign) for sign in (b"[", b"{", b",", b":"))


def _no_constant(name: str) -> float:
    raise UserError(f"The body must have finite numbers only, got {name}.")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise UserError(f"The body must have finite numbers only, got {shown(text)}.")
    return value


def _object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):  # of which others might read another
        raise UserError("Each name may come once in an object of the body.")
    return value


def _levels(value: Any) -> Iterator[list[Any]]:
    """The values of each level, the outermost first. UserError where there are more than MAX_DEPTH."""
    level = [value]
    for _ in range(MAX_DEPTH):
        yield level
        level = [
            child
            for parent in level
            if isinstance(parent, dict | list)
            for child in (parent.values() if isinstance(parent, dict) else parent)
        ]
        if not level:
            return
    raise UserError(f"The body must be JSON, at most {MAX_DEPTH} levels deep.")


def refuse_files(value: Any) -> None:
    """Refuse what could stand for a file or an address that gradio would open: nothing of ours sends such a thing.

    Gradio takes no text for JSON on its way in, so texts are left as they are.
    """
    for level in _levels(value):
        for each in level:
            if isinstance(each, dict) and (names := FILE_NAMES & each.keys()):
                raise UserError(
                    f"The server takes no files and no addresses, so {min(names)} is no name for a value here."
                )


def check_tool_call(value: Any) -> None:
    """Refuse a message of MCP, or one of several, whose arguments could stand for a file. Of the rest of it, names such
    as url are the protocol's own."""
    for message in value if isinstance(value, list) else [value]:
        params = message.get("params") if isinstance(message, dict) else None
        if isinstance(params, dict):
            refuse_files(params.get("arguments"))


def in_order(parameters: list[dict[str, Any]], value: Any) -> dict[str, Any]:
    """The body of a call by name, {"text": …}, as that of one by place, {"data": […]}; `parameters` as gradio lists an
    endpoint's. What is left out has its default."""
    body = _object(value)
    names = [each["parameter_name"] for each in parameters]
    if unknown := sorted(body.keys() - set(names)):
        raise UserError(f"The endpoint's parameters are {', '.join(names) or 'none'}, got {shown(unknown[0])}.")
    for each in parameters:
        if each["parameter_name"] not in body and not each["parameter_has_default"]:
            raise UserError(f"The endpoint needs a value for {each['parameter_name']}.")
    return {"data": [body.get(each["parameter_name"], each["parameter_default"]) for each in parameters]}


def check_call(demo: gr.Blocks, value: Any, text_chars: int, *, api_name: str | None = None) -> None:
    """Refuse what is no proper call: of the public endpoint `api_name`, or of the page's handler number fn_index."""
    body = _object(value)
    session = body.get("session_hash")
    if session is not None or api_name is None:
        _token(body, "session_hash")
    for name in ("oauth_token", "batched", "event_id"):
        if body.get(name):
            raise UserError(f"{name} is not taken here, got {shown(body[name])}.")
    if body.get("trigger_id") is not None:
        _whole(body, "trigger_id")
    data = body.get("data")
    if not isinstance(data, list):
        raise UserError(f"data must be a list, got {shown(data)}.")
    if api_name is None:
        index = _whole(body, "fn_index")
        fn = demo.fns.get(index)
        if fn is None or fn.fn is None or not (fn.targets or fn.api_visibility == "public"):
            raise UserError(f"fn_index must be that of one of the page's handlers, got {index}.")
        if fn.collects_event_data and not isinstance(body.get("event_data"), dict):
            raise UserError(f"event_data must be a JSON object, got {shown(body.get('event_data'))}.")
        if fn.api_visibility != "public":  # an endpoint goes by what it is sent alone
            check_known(demo, session)
        inputs = fn.inputs
    else:
        fn = next(f for f in demo.fns.values() if f.api_name == api_name)
        inputs = [block for block in fn.inputs if not block.skip_api]
    if len(data) != len(inputs):
        raise UserError(f"data must have {len(inputs)} values, got {len(data)}.")
    for block, item in zip(inputs, data, strict=True):
        check_value(component_of(demo, session, block), item, text_chars)


def check_cancel(demo: gr.Blocks, value: Any) -> None:
    """Refuse what is no proper request to cancel."""
    body = _object(value)
    _token(body, "session_hash")
    _token(body, "event_id")
    _whole(body, "fn_index")


def check_reset(demo: gr.Blocks, value: Any) -> None:
    """Refuse what is no proper request to reset."""
    _token(_object(value), "event_id")


def check_value(block: Any, value: Any, text_chars: int) -> None:
    """Refuse a value that the component `block` could not have sent, or a text that `check_text` refuses."""
    name = str(getattr(block, "label", None) or getattr(block, "elem_id", None) or type(block).__name__)
    if isinstance(block, gr.Textbox):
        if value is not None or block.value is not None:
            check_text(name, value, min(block.max_length or text_chars, text_chars), empty=True)
    elif isinstance(block, gr.Slider):
        check_number(name, value, block.minimum, block.maximum)
    elif isinstance(block, gr.Number):
        if value is not None:
            low = -math.inf if block.minimum is None else block.minimum
            check_number(name, value, low, math.inf if block.maximum is None else block.maximum)
    elif isinstance(block, gr.Checkbox):
        check_switch(name, value)
    elif isinstance(block, gr.Dropdown | gr.Radio | gr.CheckboxGroup):
        _check_chosen(name, block, value)


def _check_chosen(name: str, block: Any, value: Any) -> None:
    if getattr(block, "allow_custom_value", False):
        if not isinstance(value, str | int | float | None):
            raise UserError(f"{name} must be a text or a number, got {shown(value)}.")
        return
    choices = [choice for _, choice in block.choices]
    if isinstance(block, gr.CheckboxGroup) or getattr(block, "multiselect", False):
        if not isinstance(value, list) or len(value) > len(choices):
            raise UserError(f"{name} must be a list of at most {len(choices)} choices, got {shown(value)}.")
        for item in value:
            check_choice(name, item, choices)
    elif value is not None or block.value is not None:
        check_choice(name, value, choices)


def check_known(demo: gr.Blocks, session: str | None) -> None:
    """Refuse the request of a page whose state is gone."""
    pages = demo.state_holder
    if isinstance(pages, Pages) and session in pages.forgotten:
        raise UserError(
            f"The server keeps the settings of the last {pages.capacity:,} pages, and this one is no longer among "
            "them; copy your text and reload the page."
        )


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"The body must be a JSON object, got {shown(value)}.")
    return value


def _token(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not TOKEN.match(value):
        raise UserError(f"{name} must be 1 to 64 letters, digits, - or _, got {shown(value)}.")
    return value


def _whole(body: dict[str, Any], name: str) -> int:
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        raise UserError(f"{name} must be a whole number from 0, got {shown(value)}.")
    return value
