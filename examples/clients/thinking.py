"""Ask with thinking on or off; thoughts go to standard error as they come, the answer to standard output. For
examples/thinking.yaml.

    export OPENAI_BASE_URL=http://127.0.0.1:8080/v1 OPENAI_API_KEY=…   (the router and a client key)
    python thinking.py thinker 'How many prime numbers are below 30?'
"""

import argparse
import sys

from openai import OpenAI


def main() -> None:
    """Ask once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="name of the GemmaDeployment, or an alias")
    parser.add_argument("question")
    parser.add_argument(
        "--thinking", action=argparse.BooleanOptionalAction, help="unset: what features.thinking of the deployment says"
    )
    given = parser.parse_args()
    extra = {} if given.thinking is None else {"chat_template_kwargs": {"enable_thinking": given.thinking}}
    with OpenAI() as client:
        parts = client.chat.completions.create(
            model=given.model,
            messages=[{"role": "user", "content": given.question}],
            stream=True,
            extra_body=extra,
        )
        for part in parts:
            for choice in part.choices:
                # Not a field of OpenAI's own API, so the library has no attribute for it.
                thought = (choice.delta.model_extra or {}).get("reasoning_content")
                print(thought or "", end="", file=sys.stderr, flush=True)
                print(choice.delta.content or "", end="", flush=True)
    print()


if __name__ == "__main__":
    main()
