"""Bad moods: what goes wrong, how it looks from outside, and what still says 200."""

import asyncio
from io import StringIO
from pathlib import Path

import aiohttp
import pytest
from engine_standin.crashes import crash, kinds, logs, recorded, report, still_due
from engine_standin.errors import StartFailure
from engine_standin.logs import EngineLog
from engine_standin.moods import parse_moods
from engine_standin.settings import SettingError

from tests.unit.standin.conftest import Start


async def test_hang_takes_requests_and_stays_healthy(start: Start) -> None:
    standin = await start(mood="hang")
    chat = asyncio.create_task(standin.chat())
    await standin.until(lambda: len(standin.frontend.engine.waiting) == 1)
    assert (await standin.client.get("/health")).status == 200
    assert not chat.done()
    chat.cancel()
    await asyncio.gather(chat, return_exceptions=True)


@pytest.mark.parametrize("status", [500, 503, 429])
async def test_error(start: Start, status: int) -> None:
    standin = await start(mood=f"error:{status}")
    assert (await standin.chat()).status == status
    assert (await standin.client.get("/health")).status == 200


async def test_drop_closes_without_an_answer(start: Start) -> None:
    standin = await start(mood="drop")
    with pytest.raises(aiohttp.ClientError):
        await standin.chat()


async def test_cut_breaks_a_stream(start: Start) -> None:
    standin = await start(mood="cut:3")
    response = await standin.chat(stream=True, max_tokens=500, ignore_eos=True)
    with pytest.raises(aiohttp.ClientError):
        await response.text()


async def test_dead_engine(start: Start) -> None:
    standin = await start(mood="dead")
    assert (await standin.client.get("/health")).status == 503
    response = await standin.chat()
    assert response.status == 500
    assert (await response.json())["error"]["message"].startswith("EngineCore encountered an issue.")


async def test_admin_changes_the_mood(start: Start) -> None:
    standin = await start(STANDIN_ADMIN="1")
    assert (await standin.client.put("/standin/mood", json={"mood": "error:503"})).status == 200
    assert (await standin.chat()).status == 503
    assert (await standin.client.put("/standin/mood", json={"mood": ""})).status == 200
    assert (await standin.chat(max_tokens=1)).status == 200
    assert (await standin.client.put("/standin/mood", json={"mood": "sad"})).status == 400
    assert (await (await standin.client.get("/standin/state")).json())["running"] == 0


async def test_admin_is_off_unless_asked_for(start: Start) -> None:
    standin = await start()
    assert (await standin.client.put("/standin/mood", json={"mood": "hang"})).status == 404


@pytest.mark.parametrize("text", ["sad", "error:x", "crash-at-start:none", "crash-at-start:gated*x", "hang:3"])
def test_unknown_moods_are_named(text: str) -> None:
    with pytest.raises(SettingError):
        parse_moods(text)


def test_moods_are_read() -> None:
    moods = parse_moods("slow-start:3, crash-at-start:gated*2")
    assert moods.slow_start == 3
    assert moods.crash is not None
    assert (moods.crash.kind, moods.crash.times) == ("gated", 2)
    assert parse_moods("oom").crash is not None


@pytest.mark.parametrize("kind", sorted(name for name in recorded() if recorded()[name].message))
def test_recorded_failures_name_model_and_cause(kind: str) -> None:
    out = StringIO()
    with pytest.raises(StartFailure) as failure:
        crash(kind, model="google/gemma-4-E2B-it", max_model_len=8192, log=EngineLog(out))
    report(failure.value, EngineLog(out))
    text = out.getvalue()
    assert "{model}" not in text
    assert str(failure.value).split("\n")[0] in text
    assert ("Engine core initialization failed" in text) == failure.value.in_engine


def test_whole_logs_are_printed_without_their_source() -> None:
    name = next(iter(sorted(logs())))
    out = StringIO()
    with pytest.raises(SystemExit):
        crash(name, model="m", max_model_len=1, log=EngineLog(out))
    assert "# source" not in out.getvalue()
    assert out.getvalue().strip() in logs()[name]
    assert name in kinds()


def test_a_crash_can_be_for_the_first_starts_only(tmp_path: Path) -> None:
    due = [still_due("gated", times=2, folder=tmp_path) for _ in range(3)]
    assert due == [True, True, False]
    assert still_due("gated", times=0, folder=tmp_path)
