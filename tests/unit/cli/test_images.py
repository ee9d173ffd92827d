"""`kubectl gemma images`: what an air-gapped site must bring in, and the script that does it."""

import asyncio
import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml
from gemma_operator.api.config import OperatorConfig
from gemma_operator.catalog.load import load_catalog
from gemma_operator.cli import images
from gemma_operator.cli.images import OPERATOR_IMAGE, image_list
from gemma_operator.cli.registry import Unknown, Weight

ROOT = Path(__file__).parents[3]
CATALOG = load_catalog()


def test_the_operators_image_is_that_of_the_chart():
    chart = ROOT / "charts" / "gemma4-stack"
    image = yaml.safe_load((chart / "values.yaml").read_text())["image"]
    version = yaml.safe_load((chart / "Chart.yaml").read_text())["appVersion"]
    assert f"{image['registry']}/{image['repository']}:{version}" == OPERATOR_IMAGE


def test_json_names_every_image_and_every_byte(run):
    body = json.loads(run("images", "-o", "json").stdout)
    sources = [image["source"] for image in body["images"]]
    assert sources[0] == OPERATOR_IMAGE
    assert OperatorConfig().router_image in sources
    assert "docker.io/vllm/vllm-openai:v0.32.0" in sources
    assert "docker.io/vllm/vllm-openai:v0.32.0-cu129" in sources, "for older drivers"
    assert not [source for source in sources if "rocm" in source], "NVIDIA alone unless asked for"
    expected = {c.repository for c in CATALOG.checkpoints if c.engine == "vllm" and "nvidia" in c.vendors}
    assert {each["repository"] for each in body["weights"]} == expected
    assert len(body["weights"]) == len(expected), "each is downloaded once"
    assert body["weightsBytes"] == sum(each["bytes"] for each in body["weights"])


def test_a_choice_is_smaller(run):
    body = json.loads(run("images", "--model", "E4B,12b", "--precision", "int4,fp8", "-o", "json").stdout)
    assert {each["model"] for each in body["weights"]} == {"e4b", "12b"}
    assert {each["precision"] for each in body["weights"]} <= {"int4", "fp8"}
    amd = json.loads(run("images", "--vendor", "amd,cpu", "-o", "json").stdout)
    assert any("rocm" in image["source"] for image in amd["images"])


def test_what_every_plan_may_run_is_listed():
    """A fleet that is planned runs no image that the list leaves out."""
    config = OperatorConfig.model_validate({"imageRegistry": "registry.site/mirror"})
    targets = {image.target for image in image_list(CATALOG, config, vendors=("nvidia", "amd", "cpu"))}
    assert all(target.startswith("registry.site/mirror/") for target in targets)
    assert config.router_image in targets
    assert "registry.site/mirror/vllm/vllm-openai:v0.32.0" in targets


def test_an_image_of_the_configuration_is_taken_as_it_is(run, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(
        yaml.safe_dump({"engine": {"images": {"nvidia": "own.site/vllm:1"}}, "router": {"image": "own.site/litellm:1"}})
    )
    body = json.loads(run("images", "--config", config, "--registry", "registry.site", "-o", "json").stdout)
    found = {image["source"]: image["target"] for image in body["images"]}
    assert found == {
        OPERATOR_IMAGE: OPERATOR_IMAGE.replace("ghcr.io", "registry.site"),
        "own.site/litellm:1": "own.site/litellm:1",
        "own.site/vllm:1": "own.site/vllm:1",
    }


def test_the_script_copies_and_downloads_everything(run, tmp_path):
    arguments = ("images", "--model", "e4b", "--registry", "registry.site:5000/gemma")
    script = run(*arguments, "--script").stdout
    listed = json.loads(run(*arguments, "-o", "json").stdout)
    for tool in ("skopeo", "hf"):
        (tmp_path / tool).write_text(f'#!/bin/sh\necho "{tool} $* ${{HF_HOME:-}}" >> "{tmp_path}/log"\n')
        (tmp_path / tool).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "WEIGHTS": "/data"}
    subprocess.run(["sh"], input=script, text=True, check=True, env=environment, timeout=30)
    log = (tmp_path / "log").read_text().splitlines()
    copied = [line.split() for line in log if line.startswith("skopeo")]
    assert [(line[3], line[4]) for line in copied] == [
        (f"docker://{image['source']}", f"docker://{image['target']}") for image in listed["images"]
    ]
    downloaded = [line.split() for line in log if line.startswith("hf")]
    assert [line[2] for line in downloaded] == [each["repository"] for each in listed["weights"]]
    assert {line[3] for line in downloaded} == {"/data/huggingface"}


def test_the_table(run):
    text = run("images", "--model", "31b", "--registry", "registry.site").stdout
    for part in (
        "IMAGE",
        "registry.site/vllm/vllm-openai:v0.32.0",
        "WEIGHTS",
        "google/gemma-4-31B-it",
        "checkpoints, ",
    ):
        assert part in text


def test_bytes_that_were_inferred_are_marked(run):
    body = json.loads(run("images", "-o", "json").stdout)
    inferred = {each["repository"]: "download" in each["inferred"] for each in body["weights"]}
    assert set(inferred.values()) == {True, False}
    text = run("images").stdout
    rows = {line.split()[0]: line.split()[-2:] for line in text.splitlines() if line.split()[:1]}
    marked = {name: [cell.endswith("*") for cell in rows[name]] for name in inferred}
    assert marked == {name: [guessed, guessed] for name, guessed in inferred.items()}
    assert "* inferred, not read from a source" in text
    assert "inferred" not in run("images", "--model", "e4b", "--precision", "bf16").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--script",), "--script needs the registry of the site"),
        (("--vendor", "intel"), "--vendor 'intel': use all or some of nvidia, amd, cpu"),
        (("--precision", "fp4"), "--precision 'fp4': use all or some of"),
        (("--model", "e5b"), "--model 'e5b'"),
        (("--model", "auto"), "--model auto: name the models"),
    ],
)
def test_refusals(run, arguments, words):
    result = run("images", *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert words in result.stderr


def test_bytes_of_images_are_unknown_until_their_registries_are_asked(run, monkeypatch):
    listed = json.loads(run("images", "-o", "json").stdout)["images"]
    assert {image["bytes"] for image in listed} == {None}
    text = run("images").stdout
    assert f"{len(listed)} images, bytes unknown" in text
    assert "--ask-registries asks them" in text

    async def answers(wanted):
        await asyncio.sleep(0)
        known = Weight(total=3 * 2**30, platforms={"linux/amd64": 2**30})
        return {source: Unknown(why="not found") if "litellm" in source else known for source in wanted}

    monkeypatch.setattr(images, "weigh", answers)
    result = run("images", "--ask-registries")
    assert f"{len(listed)} images, {3 * (len(listed) - 1)}.0 GiB and 1 of unknown bytes" in result.stdout
    [row] = [line.split() for line in result.stdout.splitlines() if line.startswith(OPERATOR_IMAGE)]
    assert row[-2:] == [str(3 * 2**30), "3.0"]
    assert f"what {OperatorConfig().router_image} weighs is unknown: not found" in result.stderr
    asked = json.loads(run("images", "--ask-registries", "-o", "json").stdout)["images"]
    assert {image["source"]: image["bytes"] for image in asked} == {
        image["source"]: None if "litellm" in image["source"] else 3 * 2**30 for image in listed
    }
    assert asked[0]["platforms"] == {"linux/amd64": 2**30}
    script = run("images", "--ask-registries", "--script", "--registry", "registry.site").stdout
    assert f"copy {OPERATOR_IMAGE} registry.site/" in script
    assert "  # 3.0 GiB" in script
