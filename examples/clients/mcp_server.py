"""A server of tools for MCP, on standard input and output; mcp_agent.py starts it."""

from mcp.server.mcpserver import MCPServer


def count_words(text: str) -> str:
    """Count the words of a text."""
    return f"{len(text.split())} words"


server = MCPServer("words")
server.add_tool(count_words)

if __name__ == "__main__":
    server.run()
