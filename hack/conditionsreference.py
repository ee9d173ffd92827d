"""`docs/reference/conditions.md`: conditions, reasons and events as the operator has them."""

import re
from collections.abc import Iterator
from typing import Final

from gemma_operator.api import names
from gemma_operator.api.conditions import MESSAGES, PASSING, SCALED, TOLD
from gemma_operator.api.meanings import CONDITIONS, REASONS

_PLACEHOLDER: Final = re.compile(r"\{(\w+)(?:![rs])?(?::[^}\"]*)?\}")
_HEAD: Final = """# Conditions, reasons and events

Made from `operator/gemma_operator/api/conditions.py` and `meanings.py` by `make manifests`; do not edit.

Every condition has a status, a reason (one word for programs) and a message that says what is so and what to do next.
`kubectl wait --for=condition=Ready gdep/NAME` works, and so does every tool that reads kstatus. What to do about it:
[Operations](../operations.md#what-goes-wrong-and-what-to-do).
"""


def conditions_reference() -> str:
    """The whole page."""
    lines = [
        _HEAD,
        "## Conditions\n",
        "| type | meaning |\n| --- | --- |",
        *(f"| `{kind}` | {meaning} |" for kind, meaning in CONDITIONS.items()),
        "\n## Reasons\n",
        "In a message, `{…}` stands for what was found; – quotes the pod, its node or the engine's log.",
        *_reasons(),
        "\n## Events\n",
        *_events(),
    ]
    return "\n".join(lines) + "\n"


def _events() -> Iterator[str]:
    told = ", ".join(f"`{kind}`" for kind in TOLD)
    passing = ", ".join(f"`{reason}`" for reason in sorted(PASSING))
    yield f"They are about the GemmaDeployment and come from `{names.MANAGER}`. The same one again raises its count.\n"
    yield "| reason | when | type | message |\n| --- | --- | --- | --- |"
    normal = f"Normal where the condition is true, or the reason is {passing}; else Warning"
    yield f"| the condition's | status or reason of {told} change | {normal} | the condition's |"
    yield f"| `{SCALED}` | the number of replicas changes | Normal | the decision, as in `status.decisions` |"


def _reasons() -> Iterator[str]:
    for group, reasons in REASONS.items():
        yield f"\n### {group}\n"
        yield "| reason | meaning | message |\n| --- | --- | --- |"
        for reason, meaning in reasons.items():
            yield f"| `{reason}` | {meaning} | {_message(MESSAGES.get(reason))} |"


def _message(template: str | None) -> str:
    if template is None:
        return "–"
    text = _PLACEHOLDER.sub(r"{\1}", template.replace("{{", "{").replace("}}", "}"))
    return f"`{text}`".replace("|", "\\|")
