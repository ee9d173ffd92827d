"""Stand-ins for the CUDA libraries that torch's default Linux wheel links to, so that it loads on a CPU.

The CUDA libraries weigh gigabytes and none of their code runs on a CPU. What the dynamic linker needs from
them is only that each symbol exists, with its version. A stand-in is one assembly file: functions that answer
"failed" or "nothing", zeroed data, and type information that C++ exceptions and casts can compare.
"""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DROPPED = ("libtorch_cuda.so", "libtorch_cuda_linalg.so", "libtorch_nvshmem.so", "libcaffe2_nvrtc.so")
"""Libraries of the wheel that hold only CUDA code; libtorch_cuda.so gets a stand-in of the same name."""

TORCH_CUDA = "libtorch_cuda.so"
OWNERS = {
    "libcudart.so.13": ("cuda", "__cuda"),
    "libcupti.so.13": ("cupti",),
    "libcudnn.so.9": ("cudnn",),
    "libcufile.so.0": ("cuFile",),
    "libnccl.so.2": ("nccl", "pnccl"),
}
"""Soname to the prefixes of its C functions."""

ERROR_CODE = {"libcudart.so.13": 100, "libcupti.so.13": 1, "libcudnn.so.9": 1, "libnccl.so.2": 1}
"""What a C function answers: 100 is cudaErrorNoDevice, 1 the generic failure of the other libraries."""

CLASS_INFO = "_ZTVN10__cxxabiv117__class_type_infoE+16"
TAIL = f"""
.text
nothing:
  xor %eax,%eax
  ret
.data
.balign 16
nccl_options_vtable: .quad 0, nccl_options_type
.rept 32
.quad nothing
.endr
nccl_options_type: .quad {CLASS_INFO}, nccl_options_name
nccl_options_name: .string "N5c10d16ProcessGroupNCCL7OptionsE"
"""


@dataclass(frozen=True, slots=True)
class Symbol:
    name: str
    version: str
    kind: str
    """Letter of `nm`: T or W a function, the others data."""


def make_stubs(*, lib: Path, work: Path) -> list[str]:
    """Build the stand-ins for the torch libraries in `lib`, put them there, and return their names.

    Needs gcc and nm. The dropped libraries are removed afterwards, so that a second run has nothing to do.
    """
    work.mkdir(parents=True, exist_ok=True)
    for soname, symbols in missing_symbols(lib).items():
        _link(soname=soname, symbols=symbols, work=work)
    for name in DROPPED:
        (lib / name).unlink()
    for soname in (*OWNERS, TORCH_CUDA):
        (work / soname).replace(lib / soname)
    return [*OWNERS, TORCH_CUDA]


def missing_symbols(lib: Path) -> dict[str, list[Symbol]]:
    """Return, per library to stand in for, the symbols that the kept libraries want from it."""
    kept = [path for path in sorted(lib.glob("*.so*")) if path.name not in DROPPED]
    defined = {symbol.name for path in kept for symbol in _symbols(path, "--defined-only")}
    cuda = {s.name: s.kind for name in DROPPED for s in _symbols(lib / name, "--defined-only")}
    wanted: dict[str, dict[str, Symbol]] = {soname: {} for soname in (*OWNERS, TORCH_CUDA)}
    for path in kept:
        for symbol in _symbols(path, "--undefined-only"):
            if symbol.name in defined:
                continue
            if symbol.name in cuda:
                wanted[TORCH_CUDA][symbol.name] = Symbol(symbol.name, symbol.version, cuda[symbol.name])
            elif owner := _owner(symbol.name):
                wanted[owner][symbol.name] = Symbol(symbol.name, symbol.version, "T")
    return {soname: sorted(found.values(), key=lambda s: s.name) for soname, found in wanted.items()}


def _owner(name: str) -> str | None:
    for soname, prefixes in OWNERS.items():
        if name.startswith(prefixes):
            return soname
    return None


def _symbols(path: Path, which: str) -> Iterator[Symbol]:
    listing = subprocess.run(["nm", "-D", which, str(path)], capture_output=True, text=True, check=True)
    for line in listing.stdout.splitlines():
        *_, kind, full = line.split()
        name, _, version = full.partition("@")
        yield Symbol(name, version.lstrip("@"), kind)


def assembly(*, soname: str, symbols: list[Symbol]) -> str:
    """Return the assembly text (x86-64, GNU as) of the stand-in for one library."""
    parts = [_entry(soname, symbol) for symbol in symbols]
    parts.append(TAIL if soname == TORCH_CUDA else "")
    # An address that ends in zeros: a function that returns a reference hands this out, and a returned bool
    # (the low byte) reads as false.
    parts.append(".bss\n.balign 4096\nzeros: .zero 16384")
    parts.append('.section .rodata\nno_cuda: .string "no CUDA in this installation"')
    parts.append('.section .note.GNU-stack,"",@progbits')
    return "\n".join(parts) + "\n"


def _entry(soname: str, symbol: Symbol) -> str:
    name = f'"{symbol.name}"'
    if symbol.name.startswith("_ZTI"):
        # Real type information: catch clauses and dynamic_cast in the kept libraries read it.
        text = f'"name of {symbol.name}"'
        body = f'.quad {CLASS_INFO}, {text}\n{text}: .string "{symbol.name[4:]}"'
        return f".data\n.globl {name}\n.type {name},@object\n.size {name},16\n.balign 16\n{name}: {body}"
    if symbol.kind in "BDRVubdr":
        head = f".data\n.globl {name}\n.type {name},@object\n.size {name},4096\n.balign 16"
        return f"{head}\n{name}: .zero 4096"
    return f".text\n.globl {name}\n.type {name},@function\n{name}:\n{_code(soname, symbol.name)}\n  ret"


def _code(soname: str, name: str) -> str:
    if re.search(r"ProcessGroupNCCL7OptionsC\d", name):
        # Runs during `import torch.distributed`, and its object is destroyed through the vtable.
        return "  lea nccl_options_vtable+16(%rip),%rax\n  mov %rax,(%rdi)"
    if soname == TORCH_CUDA:
        return "  lea zeros(%rip),%rax\n  xor %edx,%edx"
    if name in ("cudaGetErrorString", "cudaGetErrorName"):
        return "  lea no_cuda(%rip),%rax"
    # The registration calls that the compiler emits run at load time and must seem to succeed.
    code = 0 if name.startswith("__cuda") else ERROR_CODE.get(soname, 0)
    return f"  mov ${code},%eax\n  xor %edx,%edx"


def _link(*, soname: str, symbols: list[Symbol], work: Path) -> None:
    source = work / f"{soname}.s"
    source.write_text(assembly(soname=soname, symbols=symbols))
    command = ["gcc", "-shared", "-nostdlib", "-o", str(work / soname), str(source), f"-Wl,-soname,{soname}"]
    if soname == TORCH_CUDA:
        command.append("-lstdc++")
    if versions := sorted({s.version for s in symbols if s.version}):
        script = work / f"{soname}.map"
        script.write_text(
            "".join(
                f"{version} {{ global: {' '.join(s.name + ';' for s in symbols if s.version == version)} }};\n"
                for version in versions
            )
        )
        command.append(f"-Wl,--version-script={script}")
    subprocess.run(command, check=True)
