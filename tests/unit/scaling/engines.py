"""Engines that do exactly what they are told, seen through the eyes of the policy."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from gemma_operator.scaling import Bounds, Decision, Observation, PodSample, Settings, State, decide

START = 1_000_000.0
BASE, PER_SEQUENCE, PER_PROMPT_TOKEN = 0.016, 0.00018, 0.0001


@dataclass(slots=True)
class Engine:
    """Counters of one pod."""

    name: str
    running: int = 0
    waiting: int = 0
    completions: int = 0
    generated: int = 0
    prompt: int = 0
    steps: int = 0
    kv: float = 0.0

    def serve(self, seconds: float, *, rate: float, prompt: int = 1000, output: int = 200) -> None:
        """A steady load below saturation: what arrives is done, and as many run as Little's law says."""
        done = rate * seconds
        self.completions += round(done)
        self.generated += round(done * output)
        self.prompt += round(done * prompt)
        work = PER_PROMPT_TOKEN * done * prompt + PER_SEQUENCE * done * output
        self.steps += max(round((seconds - work) / BASE), 0)
        self.running = round(rate * output * BASE / max(1 - work / seconds, 0.05))
        self.kv = min(self.running * (prompt + output / 2) / 300_000, 1.0)

    def sample(self, at: float) -> PodSample:
        return PodSample(
            pod=self.name,
            at=at,
            running=self.running,
            waiting=self.waiting,
            kv_usage=self.kv,
            completions=self.completions,
            generation_tokens=self.generated,
            prompt_tokens=self.prompt,
            steps=self.steps,
        )


@dataclass(slots=True)
class World:
    """A deployment whose replicas start at once, and the policy that watches it."""

    replicas: int = 1
    bounds: Bounds = field(default_factory=lambda: Bounds(minimum=1, maximum=40, max_num_seqs=128))
    settings: Settings = field(default_factory=Settings)
    state: State = field(default_factory=State)
    now: float = START
    held: int | None = 0
    engines: list[Engine] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    follow: bool = True
    """Whether replicas follow the decisions."""

    def __post_init__(self) -> None:
        self.engines = [Engine(f"pod-{index}") for index in range(self.replicas)]

    def observe(self, **changes: object) -> Observation:
        seen = Observation(
            at=self.now,
            samples=tuple(engine.sample(self.now) for engine in self.engines),
            ready=len(self.engines),
            current=self.replicas,
            held=self.held,
        )
        return replace(seen, **changes)  # type: ignore[arg-type]  # fields by name, in tests

    def step(self, observation: Observation | None = None) -> Decision:
        decision, self.state = decide(observation or self.observe(), self.state, self.bounds, self.settings)
        self.decisions.append(decision)
        if self.follow and decision.after != self.replicas:
            self.replicas = decision.after
            while len(self.engines) < self.replicas:
                self.engines.append(Engine(f"pod-{self.now:.0f}-{len(self.engines)}"))
            del self.engines[self.replicas :]
        return decision

    def run(
        self, seconds: float, *, rate: float | Callable[[float], float] = 0.0, prompt: int = 1000, output: int = 200
    ) -> "World":
        """Load of so many requests per second, split evenly, observed every five seconds."""
        for tick in range(int(seconds / 5)):
            self.now += 5
            wanted = rate(tick * 5.0) if callable(rate) else rate
            for engine in self.engines:
                engine.serve(5, rate=wanted / len(self.engines), prompt=prompt, output=output)
            self.step()
        return self
