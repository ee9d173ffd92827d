"""A tokenizer that needs no files: pieces of about four characters, numbered below Gemma's vocabulary size."""

import re
import zlib
from collections.abc import Iterable

VOCABULARY = 262_144
SPECIAL = ("<pad>", "<eos>", "<bos>", "<unk>", "<|turn>", "<turn|>", "<|channel>", "<channel|>", "<|tool_call>")
_SPECIAL_IDS = {text: number for number, text in enumerate(SPECIAL)}
_MARKS = "|".join(map(re.escape, SPECIAL))
_PIECE = re.compile(_MARKS + r"|\s?[^\s<]{1,4}|\s|<")
_CHARACTER = re.compile(_MARKS + "|(?s:.)")


class Tokenizer:
    """Cuts text into pieces and remembers their numbers, so that a prompt can be read back.

    `token_chars` of 1 makes every character a token, as byte-level vocabularies do.
    """

    def __init__(self, *, token_chars: int = 4) -> None:
        self._cut = _CHARACTER if token_chars == 1 else _PIECE
        self._pieces: dict[int, str] = dict(enumerate(SPECIAL))

    def _number(self, piece: str) -> int:
        if piece in _SPECIAL_IDS:
            return _SPECIAL_IDS[piece]
        first = len(SPECIAL) + zlib.crc32(piece.encode("utf-8", "surrogatepass")) % (VOCABULARY - len(SPECIAL))
        for step in range(64):
            number = len(SPECIAL) + (first - len(SPECIAL) + step) % (VOCABULARY - len(SPECIAL))
            if self._pieces.setdefault(number, piece) == piece:
                return number
        return first

    def encode(self, text: str, *, bos: bool = False) -> list[int]:
        """Return the token numbers of `text`."""
        numbers = [self._number(piece) for piece in self._cut.findall(text)]
        return [_SPECIAL_IDS["<bos>"], *numbers] if bos else numbers

    def decode(self, numbers: Iterable[int], *, special: bool = False) -> str:
        """Return the text of token numbers that were handed out before; others read as `<unk>`."""
        texts = (self._pieces.get(number, "<unk>") for number in numbers)
        return "".join(text for text in texts if special or text not in _SPECIAL_IDS)

    def strings(self, numbers: Iterable[int]) -> list[str]:
        """Return the piece behind each number."""
        return [self._pieces.get(number, "<unk>") for number in numbers]


def pieces_of(text: str) -> list[str]:
    """Cut `text` the way `Tokenizer.encode` does."""
    return _PIECE.findall(text)
