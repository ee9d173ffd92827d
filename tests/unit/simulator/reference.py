"""A replica that takes every step by itself: slow, obvious, and the measure for the fast one."""

from dataclasses import dataclass, field

from gemma_operator.simulator.types import Profile


@dataclass
class Slow:
    """The same model, one step at a time."""

    profile: Profile
    requests: list[tuple[float, int, int]]
    first: dict[int, float] = field(default_factory=dict)
    done: dict[int, float] = field(default_factory=dict)

    def run(self) -> "Slow":
        profile, now, following = self.profile, 0.0, 0
        waiting: list[int] = []
        prefilling: list[list[int]] = []
        left: dict[int, int] = {}
        while following < len(self.requests) or waiting or prefilling or left:
            idle = not (waiting or prefilling or left)
            if idle and (not self.first or self.requests[following][0] > now):
                # An idle engine starts at once; who comes at the same moment takes the next step.
                now = max(now, self.requests[following][0])
                waiting.append(following)
                following += 1
            else:
                while following < len(self.requests) and self.requests[following][0] <= now:
                    waiting.append(following)
                    following += 1
            budget = profile.chunk
            ended: list[int] = []
            for entry in prefilling:
                used = min(budget, entry[1])
                entry[1] -= used
                budget -= used
                if not entry[1]:
                    ended.append(entry[0])
            while waiting and budget and self._fits(waiting[0], [*left, *(entry[0] for entry in prefilling)]):
                request = waiting.pop(0)
                used = min(budget, self.requests[request][1])
                budget -= used
                prefilling.append([request, self.requests[request][1] - used])
                if not prefilling[-1][1]:
                    ended.append(request)
            active = len(left) + len(prefilling)
            now += (
                profile.step_base
                + profile.step_per_sequence * active
                + profile.step_per_prefill_token * (profile.chunk - budget)
            )
            for request in list(left):
                left[request] -= 1
            for request in ended:
                self.first[request] = now
                left[request] = self.requests[request][2] - 1
            prefilling = [entry for entry in prefilling if entry[1]]
            for request in [each for each, more in left.items() if more == 0]:
                self.done[request] = now
                del left[request]
        return self

    def _fits(self, request: int, active: list[int]) -> bool:
        reserved = sum(self.requests[each][1] + self.requests[each][2] for each in active)
        need = self.requests[request][1] + self.requests[request][2]
        return len(active) < self.profile.max_num_seqs and (reserved + need <= self.profile.kv_tokens or not active)
