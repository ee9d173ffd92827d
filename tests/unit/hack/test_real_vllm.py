"""The reference engine's installation: the parts that need neither a download nor a compiler."""

import json
from pathlib import Path

from real_vllm import serve
from real_vllm.failures import CASES, MODEL_PLACE, prepare
from real_vllm.record import shorten
from real_vllm.stubs import Symbol, assembly
from real_vllm.tiny_model import SPECIAL, write_tiny_model


def test_tiny_model_can_write_every_byte(tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path, max_context=4096)
    vocabulary = json.loads((model / "tokenizer.json").read_text())["model"]["vocab"]
    letters = set(vocabulary) - set(SPECIAL)
    assert len(letters) == 256
    assert {"a", "Z", "~", "Ġ", "Ċ"} <= letters  # Ġ and Ċ: how byte-level BPE writes space and newline
    assert sorted(vocabulary.values()) == list(range(len(vocabulary)))


def test_tiny_model_configuration_fits_its_tokenizer(tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path, max_context=4096)
    config = json.loads((model / "config.json").read_text())
    vocabulary = json.loads((model / "tokenizer.json").read_text())["model"]["vocab"]
    assert len(vocabulary) <= config["vocab_size"]
    assert config["max_position_embeddings"] == 4096
    assert [vocabulary["<pad>"], vocabulary["<eos>"], vocabulary["<bos>"]] == [
        config["pad_token_id"],
        config["eos_token_id"],
        config["bos_token_id"],
    ]


def test_serve_bounds_the_kv_cache_unless_told() -> None:
    assert serve.KV_DEFAULT in serve.command(["--max-num-seqs=2"])
    assert serve.KV_DEFAULT not in serve.command(["--gpu-memory-utilization=0.5"])


def test_stand_in_symbols_are_of_their_kind() -> None:
    text = assembly(
        soname="libcudart.so.13",
        symbols=[
            Symbol("cudaGetDeviceCount", "libcudart.so.13", "T"),
            Symbol("__cudaRegisterFatBinary", "libcudart.so.13", "T"),
            Symbol("cudaTable", "libcudart.so.13", "B"),
        ],
    )
    function, registration = text.split('.globl "')[1:3]
    assert "mov $100,%eax" in function, "a CUDA call must say that there is no device"
    assert "mov $0,%eax" in registration, "registration at load time must seem to succeed"
    assert '"cudaTable": .zero 4096' in text


def test_failures_have_names_of_their_own(tmp_path: Path) -> None:
    assert len({case.name for case in CASES}) == len(CASES)
    places = prepare(tmp_path)
    assert (Path(places[MODEL_PLACE]) / "config.json").exists()
    assert not Path(places["/models/none"]).exists()


def test_recorded_logs_do_not_show_this_machine(tmp_path: Path) -> None:
    text = f"model {tmp_path}/tiny, home {Path.home()}/x"
    assert shorten(text, {"/models/tiny": f"{tmp_path}/tiny"}) == "model /models/tiny, home /home/vllm/x"
