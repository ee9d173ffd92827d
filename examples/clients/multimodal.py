"""Ask about images and recordings of speech. For examples/multimodal.yaml.

export OPENAI_BASE_URL=http://127.0.0.1:8080/v1 OPENAI_API_KEY=…   (the router and a client key)
python multimodal.py senses 'Is this what the speaker describes?' --image cat.png --audio speech.wav
"""

import argparse
import base64
import mimetypes
import sys
from pathlib import Path

from openai import OpenAI
from openai.types.chat import ChatCompletionContentPartParam


def image(path: Path) -> ChatCompletionContentPartParam:
    """An image within the request: the engine needs no way out to fetch it."""
    kind = mimetypes.guess_type(path)[0] or "image/png"
    return {"type": "image_url", "image_url": {"url": f"data:{kind};base64,{_base64(path)}"}}


def audio(path: Path) -> ChatCompletionContentPartParam:
    """Speech within the request, WAV or MP3, at most 30 seconds: more must be cut into pieces."""
    return {
        "type": "input_audio",
        "input_audio": {"data": _base64(path), "format": "mp3" if path.suffix == ".mp3" else "wav"},
    }


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def main() -> None:
    """Ask once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="name of the GemmaDeployment, or an alias")
    parser.add_argument("question")
    parser.add_argument("--image", type=Path, action="append", default=[], help="may be given several times")
    parser.add_argument("--audio", type=Path, action="append", default=[], help="may be given several times")
    given = parser.parse_args()
    # Media before the text: Gemma 4 answers better.
    content = [image(path) for path in given.image] + [audio(path) for path in given.audio]
    content.append({"type": "text", "text": given.question})
    with OpenAI() as client:
        response = client.chat.completions.create(model=given.model, messages=[{"role": "user", "content": content}])
    if response.usage is not None:
        print(f"prompt tokens: {response.usage.prompt_tokens}", file=sys.stderr)
    print(response.choices[0].message.content)


if __name__ == "__main__":
    main()
