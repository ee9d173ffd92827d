"""The rules of the API that need a written answer: what the API server checks and says at `kubectl apply`."""

from gemma_operator.api.base import Rule
from gemma_operator.api.models import (
    AUDIO_MODELS,
    CONTEXT_LIMITS,
    DENIED_VLLM_VERSIONS,
    MINIMUM_VLLM_VERSION,
    MODEL_ALIASES,
    MODEL_KEYS,
    ModelKey,
)
from gemma_operator.api.structural import cel

DNS_1035 = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
DNS_1035_WORDS = "a name of lower-case letters, digits and -, starting with a letter and ending with a letter or digit"
VERSION = r"^[0-9]{1,6}\.[0-9]{1,6}\.[0-9]{1,6}$"
VERSION_REMEDY = "use 0.28.0 or newer, or remove engineVersion to get the operator's"
MODELS_OR_AUTO = f"{', '.join(MODEL_KEYS)} or auto"
OWN_PREFIXES = ("gemma4stack.dev/", "app.kubernetes.io/")
MAX_NAME = 40


def numbers(version: str) -> tuple[int, ...]:
    """`0.32.0` as numbers that compare."""
    return tuple(int(part) for part in version.split("."))


def _names(*keys: ModelKey) -> list[str]:
    return sorted(name for name, key in MODEL_ALIASES.items() if key in keys)


def context_remedy(limit: int) -> str:
    """What to do about a context above `limit`."""
    larger = [key for key in MODEL_KEYS if CONTEXT_LIMITS[key] > limit]
    return f"lower it to at most {limit}" + (f", or choose {', '.join(larger)} or auto" if larger else "")


def _context_rule(limit: int) -> Rule:
    keys = [key for key in MODEL_KEYS if CONTEXT_LIMITS[key] == limit]
    return Rule(
        f"!(self.model.lowerAscii() in {cel(_names(*keys))}) || self.context <= {limit}",
        f"context is above the limit of the model: {context_remedy(limit)}",
        ".context",
        f"'context is above the limit of ' + self.model + {cel(': ' + context_remedy(limit))}",
    )


KNOWN_MODEL = Rule(
    f"self.lowerAscii() in {cel(['auto', *sorted(MODEL_ALIASES)])}",
    f"unknown model: use {MODELS_OR_AUTO}",
    expression=f"'unknown model ' + self + {cel(': use ' + MODELS_OR_AUTO)}",
)
KNOWN_FLOOR = Rule(
    f"self.lowerAscii() in {cel(sorted(MODEL_ALIASES))}",
    f"unknown model: use one of {', '.join(MODEL_KEYS)}",
    expression=f"'unknown model ' + self + {cel(': use one of ' + ', '.join(MODEL_KEYS))}",
)
FLOOR_NEEDS_AUTO = Rule(
    "!has(self.atLeast) || self.model.lowerAscii() == 'auto'",
    "atLeast counts only with model: auto: remove atLeast, or set model: auto",
    ".atLeast",
)
CONTEXTS = tuple(_context_rule(limit) for limit in sorted(set(CONTEXT_LIMITS.values()))[:-1])
"""The largest limit is the maximum of the field itself."""
AUDIO = Rule(
    "!has(self.features) || !has(self.features.audio) || !self.features.audio || "
    f"!(self.model.lowerAscii() in {cel(_names(*(key for key in MODEL_KEYS if key not in AUDIO_MODELS)))})",
    f"this model takes no audio: remove features.audio, or choose {', '.join(AUDIO_MODELS)} or auto",
    ".features.audio",
)
ENGINE_KEY = Rule(
    "!has(self.router) || !self.router.enabled || !has(self.pod) || !has(self.pod.env) || "
    "self.pod.env.all(variable, variable.name != 'VLLM_API_KEY')",
    "VLLM_API_KEY is the operator's while a router serves this deployment: remove it, or set router.enabled: false",
    ".pod.env",
)
MIN_MAX = Rule("self.min <= self.max", "scaling.min must not be above scaling.max: lower min or raise max", ".min")
EXTERNAL_REPLICAS = Rule(
    "!has(self.scaling) || !has(self.scaling.mode) || self.scaling.mode != 'external' || has(self.replicas)",
    "scaling.mode external needs a first value in spec.replicas, which the external scaler then changes: set replicas",
    ".replicas",
)
ZERO_NEEDS_ROUTER = Rule(
    "!has(self.scaling) || self.scaling.min > 0 || !has(self.router) || self.router.enabled",
    "scaling.min 0 needs the router, which keeps the request that wakes it: set min to 1 or router.enabled to true",
    ".scaling.min",
)
DENIED_VERSION = Rule(
    f"!(self in {cel(sorted(DENIED_VLLM_VERSIONS))})",
    f"this version is denied: {VERSION_REMEDY}",
    expression="'vLLM ' + self + "
    + cel(f" is denied: {' and '.join(sorted(set(DENIED_VLLM_VERSIONS.values())))}; {VERSION_REMEDY}"),
)
_MAJOR, _MINOR, _PATCH = MINIMUM_VLLM_VERSION.split(".")
OLD_VERSION = Rule(
    # A value that is no version has its own answer, and must not fail here with a conversion error.
    f"!self.matches({cel(VERSION)}) || int(self.split('.')[0]) > {_MAJOR} || (int(self.split('.')[0]) == {_MAJOR} && "
    f"(int(self.split('.')[1]) > {_MINOR} || "
    f"(int(self.split('.')[1]) == {_MINOR} && int(self.split('.')[2]) >= {_PATCH})))",
    f"vLLM before {MINIMUM_VLLM_VERSION} does not know Gemma 4: {VERSION_REMEDY}",
)
ONE_CACHE = Rule(
    "has(self.claimName) != has(self.size)",
    "weights.cache needs either claimName (an existing claim) or size (a claim to create)",
)
CREATED_CACHE = Rule(
    "!has(self.claimName) || (!has(self.storageClassName) && !(has(self.keep) && self.keep))",
    "storageClassName and keep are for a claim to create: remove them, or give size instead of claimName",
)
OWN_LABELS = Rule(
    f"self.all(key, !key.startsWith({cel(OWN_PREFIXES[0])}) && !key.startsWith({cel(OWN_PREFIXES[1])}))",
    f"keys that start with {' or '.join(OWN_PREFIXES)} belong to the operator: use another key",
)
OWN_ANNOTATIONS = OWN_LABELS

FLAG_REMEDIES = {
    "--api-key": "the operator sets the key of engines: remove it",
    "--host": "the operator sets the address: remove it",
    "--port": "the operator sets the port: remove it",
    "--max-model-len": "set spec.context instead: the plan derives the length from it",
    "--model": "set spec.model instead",
    "--served-model-name": "set spec.router.aliases instead",
    "--shutdown-timeout": "set spec.scaling.drainTimeout instead",
    "--tensor-parallel-size": "the plan chooses it: set spec.accelerators instead",
    "-tp": "the plan chooses it: set spec.accelerators instead",
}
"""Arguments that the plan or the rest of the spec decides, and what to use instead."""


def _flag_rule(flag: str, remedy: str) -> Rule:
    return Rule(
        f"!self.exists(argument, argument == {cel(flag)} || argument.startsWith({cel(flag + '=')}))",
        f"{flag} cannot be added: {remedy}",
    )


PLANNED_FLAGS = tuple(_flag_rule(flag, remedy) for flag, remedy in FLAG_REMEDIES.items())

NAME = Rule(
    f"self.metadata.name.matches({cel(DNS_1035)})",
    f"metadata.name becomes the name of a Service: write {DNS_1035_WORDS}",
)
NAME_LENGTH = Rule(
    f"self.metadata.name.size() <= {MAX_NAME}",
    f"metadata.name must have at most {MAX_NAME} characters, so that the names made from it fit: shorten it",
)
ROUTER_NAME = Rule(
    "!has(self.spec) || !has(self.spec.router) || !self.spec.router.enabled || "
    "self.spec.router.name != self.metadata.name",
    "engine and router would both need the Service of this name: rename the GemmaDeployment or change spec.router.name",
)
OWN_ALIAS = Rule(
    "!has(self.spec) || !has(self.spec.router) || !has(self.spec.router.aliases) || "
    "!(self.metadata.name in self.spec.router.aliases)",
    "spec.router.aliases: the deployment's own name is always served: remove it from aliases",
)
OWN_FALLBACK = Rule(
    "!has(self.spec) || !has(self.spec.router) || !has(self.spec.router.fallbacks) || "
    "!(self.metadata.name in self.spec.router.fallbacks)",
    "spec.router.fallbacks: a deployment cannot stand in for itself: name another one",
)
OBJECT = (NAME, NAME_LENGTH, ROUTER_NAME, OWN_ALIAS, OWN_FALLBACK)
"""Rules of the whole object, which may read `metadata.name`."""
