"""An agent: the model calls Python functions until it can answer. For examples/tools.yaml.

export OPENAI_BASE_URL=http://127.0.0.1:8080/v1 OPENAI_API_KEY=…   (the router and a client key)
python agent.py agent 'What is the local time in Berlin and in Tokyo?'
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolUnionParam

Call = Callable[[str, dict[str, Any]], Awaitable[str]]
"""Name and arguments of a tool → its result, for the model to read."""

STEPS = 8
TOOLS: list[ChatCompletionToolUnionParam] = [
    {
        "type": "function",
        "function": {
            "name": "local_time",
            "description": "The local time in a time zone.",
            # The model sees this schema; whatever can be an enum, make it one.
            "parameters": {
                "type": "object",
                "properties": {"zone": {"type": "string", "enum": ["Europe/Berlin", "Asia/Tokyo", "America/New_York"]}},
                "required": ["zone"],
            },
        },
    }
]


async def call(name: str, arguments: dict[str, Any]) -> str:
    """Run one of TOOLS."""
    if name != "local_time":
        raise ValueError(f"there is no tool {name}")
    return f"{datetime.now(ZoneInfo(arguments['zone'])):%H:%M} in {arguments['zone']}"


async def answer(
    client: AsyncOpenAI, *, model: str, question: str, tools: Sequence[ChatCompletionToolUnionParam], call: Call
) -> str:
    """The model's answer after as many calls of tools as it wants, at most STEPS rounds of them."""
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": question}]
    for _ in range(STEPS):
        response = await client.chat.completions.create(model=model, messages=messages, tools=tools)
        message = response.choices[0].message
        calls = [each for each in message.tool_calls or () if each.type == "function"]
        if not calls:
            return message.content or ""
        messages.append(
            {
                "role": "assistant",
                "content": message.content,
                "tool_calls": [
                    {"id": each.id, "type": "function", "function": each.function.model_dump()}  # type: ignore[typeddict-item]  # the SDK takes a dict
                    for each in calls
                ],
            }
        )
        results = await asyncio.gather(*(_result(call, each.function.name, each.function.arguments) for each in calls))
        for each, result in zip(calls, results, strict=True):
            print(f"{each.function.name}({each.function.arguments}) = {result}", file=sys.stderr)
            messages.append({"role": "tool", "tool_call_id": each.id, "content": result})
    raise RuntimeError(f"no answer after {STEPS} rounds of tool calls")


async def _result(call: Call, name: str, arguments: str) -> str:
    """The result of a call, or what was wrong with it: the model reads that and tries again."""
    try:
        return await call(name, json.loads(arguments))
    except Exception as error:
        return f"error: {type(error).__name__}: {error}"


def parsed() -> argparse.Namespace:
    """The arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="name of the GemmaDeployment, or an alias")
    parser.add_argument("question")
    return parser.parse_args()


async def main() -> None:
    """Ask once."""
    given = parsed()
    async with AsyncOpenAI() as client:
        print(await answer(client, model=given.model, question=given.question, tools=TOOLS, call=call))


if __name__ == "__main__":
    asyncio.run(main())
