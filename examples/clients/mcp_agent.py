"""An agent whose tools come from an MCP server. The model server knows nothing of MCP: the agent lists the tools, hands
their schemas to the model, and carries its calls out. For examples/tools.yaml.

    export OPENAI_BASE_URL=http://127.0.0.1:8080/v1 OPENAI_API_KEY=…   (the router and a client key)
    python mcp_agent.py agent 'Count the words of this question.'
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

from agent import answer, parsed
from mcp import Client, StdioServerParameters
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionToolUnionParam

SERVER = StdioServerParameters(command=sys.executable, args=[str(Path(__file__).with_name("mcp_server.py"))])


async def main() -> None:
    """Ask once, with the tools of SERVER."""
    given = parsed()
    # A server elsewhere is a URL in place of SERVER.
    async with AsyncOpenAI() as client, Client(SERVER) as server:
        tools: list[ChatCompletionToolUnionParam] = [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description or "",
                    "parameters": tool.input_schema,
                },
            }
            for tool in (await server.list_tools()).tools
        ]

        async def call(name: str, arguments: dict[str, Any]) -> str:
            result = await server.call_tool(name, arguments)
            text = "\n".join(part.text for part in result.content if part.type == "text")
            return f"error: {text}" if result.is_error else text

        print(await answer(client, model=given.model, question=given.question, tools=tools, call=call))


if __name__ == "__main__":
    asyncio.run(main())
