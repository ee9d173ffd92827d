"""The KV cache in blocks: who holds how many, what is full, and which prompt prefixes are still in it."""

from collections import OrderedDict
from collections.abc import Sequence


class BlockPool:
    """Blocks of `block_size` tokens. Not thread-safe; all numbers are blocks unless a name says tokens."""

    def __init__(self, *, tokens: int, block_size: int, remember_prefixes: bool) -> None:
        self.block_size = block_size
        self.total = max(1, -(-tokens // block_size))
        self._held: dict[str, int] = {}
        self._used = 0
        self._remember = remember_prefixes
        self._prefixes: OrderedDict[int, None] = OrderedDict()

    @property
    def free(self) -> int:
        """Return how many blocks nobody holds."""
        return self.total - self._used

    @property
    def usage(self) -> float:
        """Return the used share, 0 to 1."""
        return self._used / self.total

    def blocks_for(self, tokens: int) -> int:
        """Return how many blocks `tokens` need."""
        return -(-tokens // self.block_size)

    def grow(self, owner: str, tokens: int) -> bool:
        """Give `owner` room for `tokens` in all; False, and nothing changes, when there is not enough."""
        missing = self.blocks_for(tokens) - self._held.get(owner, 0)
        if missing > self.free:
            return False
        if missing > 0:
            self._held[owner] = self._held.get(owner, 0) + missing
            self._used += missing
        return True

    def release(self, owner: str) -> None:
        """Take back everything that `owner` holds."""
        self._used -= self._held.pop(owner, 0)

    def _hashes(self, prompt: Sequence[int]) -> list[int]:
        hashes, last = [], 0
        for start in range(0, len(prompt) - self.block_size + 1, self.block_size):
            last = hash((last, tuple(prompt[start : start + self.block_size])))
            hashes.append(last)
        return hashes

    def cached_tokens(self, prompt: Sequence[int]) -> int:
        """Return how many leading tokens of `prompt` need no computing; the last token always does."""
        if not self._remember:
            return 0
        found = 0
        for value in self._hashes(prompt[: len(prompt) - 1]):
            if value not in self._prefixes:
                break
            self._prefixes.move_to_end(value)
            found += self.block_size
        return found

    def remember(self, prompt: Sequence[int]) -> None:
        """Keep the full blocks of `prompt` for later prompts; the oldest make room."""
        if not self._remember:
            return
        for value in self._hashes(prompt):
            self._prefixes[value] = None
            self._prefixes.move_to_end(value)
        while len(self._prefixes) > self.total:
            self._prefixes.popitem(last=False)
