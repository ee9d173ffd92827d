"""`kubectl gemma chat`: ask a GemmaDeployment through its router, and see it answer."""

import base64
import sys
from typing import Annotated, Any, Final

import typer
from pydantic import ValidationError

from gemma_operator.api.errors import ApiError
from gemma_operator.api.spec import GemmaDeploymentSpec
from gemma_operator.cli.asking import Piece, Router, ask
from gemma_operator.cli.completion import deployment_names
from gemma_operator.cli.failure import CliError, fields
from gemma_operator.cli.options import Context, Kubeconfig, Namespace
from gemma_operator.cli.output import console, warn
from gemma_operator.cli.session import Session, run, session
from gemma_operator.cluster.client import Client
from gemma_operator.cluster.resources import DEPLOYMENTS, SECRETS, Object
from gemma_operator.render.names import DEFAULT_CLIENT

_PROMPT: Final = "> "


def chat(
    name: Annotated[str, typer.Argument(help="The GemmaDeployment to ask.", autocompletion=deployment_names)],
    message: Annotated[
        str | None, typer.Argument(help="What to ask; unset: standard input, or a conversation on a terminal.")
    ] = None,
    namespace: Namespace = None,
    key: Annotated[
        str | None,
        typer.Option(
            "--key", envvar="GEMMA_API_KEY", show_envvar=False, help="Client key; unset: $GEMMA_API_KEY, or the Secret."
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option("--url", help="Base URL such as https://llm.example.com/v1; unset: through the API server."),
    ] = None,
    system: Annotated[str | None, typer.Option("--system", help="System message.")] = None,
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", min=1, help="Tokens of an answer at most.")] = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Send a message through the router and stream the answer: to standard output; all else goes to standard error."""
    messages: list[Object] = [{"role": "system", "content": system}] if system else []
    talks = message is None and sys.stdin.isatty()
    if message is None and not talks:
        message = sys.stdin.read().strip()
        if not message:
            raise CliError("standard input is empty: give a message, such as `kubectl gemma chat chat 'Hello'`")

    async def talk(router: Router, secret: str, *, client: Client | None = None, started: str = "") -> None:
        asked = message
        while (asked := _read() if talks else asked) is not None:
            messages.append({"role": "user", "content": asked})
            body: Object = {"model": name, "messages": messages, "stream": True}
            if max_tokens is not None:
                body["max_tokens"] = max_tokens
            answer = await _answer(router, body, key=secret, client=client, started=started)
            messages.append({"role": "assistant", "content": answer})
            if not talks:
                return

    async def work() -> None:
        if url is not None and key:
            # Whoever has both may have no cluster at all.
            await talk(Router(namespace=namespace, name="", deployment=name, url=url), key)
            return
        async with session(kubeconfig=kubeconfig, context=context, namespace=namespace) as here:
            obj = await here.deployment(name)
            router = _router(obj, url=url)
            await talk(router, key or await _key(here, router), client=here.client, started=_usual_start(obj))

    try:
        run(work())
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _router(obj: Object, *, url: str | None) -> Router:
    metadata = obj["metadata"]
    try:
        spec = GemmaDeploymentSpec.model_validate(obj.get("spec") or {})
    except ValidationError as error:
        raise CliError(f"GemmaDeployment {metadata['name']}:\n{fields(error, prefix='spec')}") from None
    if not spec.router.enabled and url is None:
        raise CliError(
            f"spec.router.enabled of {metadata['name']} is false, so there is no router to ask: give the address of "
            "something that serves it with --url"
        )
    return Router(namespace=metadata["namespace"], name=spec.router.name, deployment=metadata["name"], url=url)


async def _key(here: Session, router: Router) -> str:
    """A key from the Secret, where the person may read it."""
    secret = await _keys_secret(here, router)
    give = "give a client key with --key or $GEMMA_API_KEY"
    try:
        found = await here.client.get(SECRETS, name=secret, namespace=router.namespace)
    except ApiError as error:
        if error.status != 403:
            raise
        raise CliError(f"you may not read Secret {secret} of namespace {router.namespace}: {give}") from None
    if found is None:
        raise CliError(
            f"Secret {secret} does not exist in namespace {router.namespace}: {give}, or wait for the router"
        )
    data: dict[str, str] = found.get("data") or {}
    if not data:
        raise CliError(f"Secret {secret} of namespace {router.namespace} holds no key: add one (name: key)")
    return base64.b64decode(data[DEFAULT_CLIENT if DEFAULT_CLIENT in data else min(data)]).decode().strip()


async def _keys_secret(here: Session, router: Router) -> str:
    """The Secret that the router mounts, which the operator's configuration may name."""
    try:
        found = await here.client.get(DEPLOYMENTS, name=router.name, namespace=router.namespace)
    except ApiError:
        found = None
    volumes = found["spec"]["template"]["spec"]["volumes"] if found else ()
    mounted = (each["secret"]["secretName"] for each in volumes if each["name"] == "keys")
    return next(mounted, f"{router.name}-keys")


def _usual_start(obj: Object) -> str:
    startup: dict[str, Any] = (obj.get("status") or {}).get("startup") or {}
    return f", a start usually takes {startup['p50Seconds']} s" if startup.get("p50Seconds") else ""


def _read() -> str | None:
    """The next thing that a person says; `None` at the end."""
    while True:
        try:
            said = input(_PROMPT).strip()
        except EOFError:
            return None
        if said:
            return said


async def _answer(router: Router, body: Object, *, key: str, client: Client | None, started: str) -> str:
    """Print an answer as it comes; its text."""
    parts: list[str] = []
    thoughts = console() if sys.stdout.isatty() else None
    told = False
    finish = ""
    async for piece in ask(router, body, key=key, client=client):
        if piece.waits and not told and not parts:
            warn(f"… waits for a replica{started}")
            told = True
        if piece.thought and thoughts is not None:
            thoughts.print(piece.thought, style="dim", end="", markup=False, soft_wrap=True)
        _write(piece, parts)
        finish = piece.finish or finish
    sys.stdout.write("\n")
    sys.stdout.flush()
    if not finish:
        raise CliError(f"the answer of {router} broke off: see `{router.look}`")
    if finish == "length":
        warn("note: cut at the token limit: raise --max-tokens or spec.context")
    return "".join(parts)


def _write(piece: Piece, parts: list[str]) -> None:
    if piece.text:
        parts.append(piece.text)
        sys.stdout.write(piece.text)
        sys.stdout.flush()
