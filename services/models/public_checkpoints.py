"""How a published `.pt` file is opened: as containers, numbers and tensors, never by running it.

Three gates, each before the next takes memory or trusts a byte:

1. the archive's directory: plain entries that fit into the file, and no more bytes than allowed;
2. the names in its pickle: each global that it would call is on a short list, or the file is
   refused with what it asked for (read as opcodes, nothing is imported or called);
3. `torch.load(weights_only=True, mmap=True)`, where the few names of other libraries that old
   training loops left behind stand for inert classes of this module.
"""

from __future__ import annotations

import pickletools
import struct
import threading
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from pickle import UnpicklingError  # noqa: TID251 - the error that torch raises, nothing is unpickled
from typing import Any

import torch

from services.errors import MalformedInput, TooLarge

MAX_BYTES = 4 * 1024**3  # a 90 million weight checkpoint with optimiser state is about 1.1 GB
MAX_PICKLE_BYTES = 32 * 1024**2  # of the pickle beside the tensors: names and settings
_SHOWN = 3  # names that a refusal lists

_STORAGES = frozenset(
    f"torch.{kind}Storage"
    for kind in (
        "Double",
        "Float",
        "Half",
        "BFloat16",
        "Long",
        "Int",
        "Short",
        "Char",
        "Byte",
        "Bool",
    )
)
# each builds a plain container or a view of bytes that are in the file
INERT_GLOBALS = _STORAGES | {
    "collections.OrderedDict",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_parameter",
    "torch.Size",
    "_codecs.encode",
}
# what torch raises for a file that is not what it says; anything else is a bug of ours
_LOAD_ERRORS = (
    UnpicklingError,
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    AssertionError,
    EOFError,
    OSError,
    OverflowError,
    struct.error,
)
_PROTOCOL = b"\x80\x02"
_one_at_a_time = threading.Lock()  # the list of stand-ins is torch's, and global


class InertNamespace:
    """Stands for argparse.Namespace: holds what the file put into it."""


class InertDtype:
    """Stands for numpy.dtype: remembers its arguments."""

    def __init__(self, *description: Any) -> None:
        self.description = description

    def __setstate__(self, state: Any) -> None:
        self.state = state


class InertScalar:
    """Stands for a numpy scalar: its type and its bytes, not interpreted."""

    def __init__(self, dtype: Any = None, raw: Any = None) -> None:
        self.dtype, self.raw = dtype, raw


STAND_INS: dict[str, type] = {
    "argparse.Namespace": InertNamespace,
    "numpy.dtype": InertDtype,
    "numpy.core.multiarray.scalar": InertScalar,
    "numpy._core.multiarray.scalar": InertScalar,
}


def read_public_checkpoint(path: Path, *, max_bytes: int = MAX_BYTES) -> Any:
    """What the file holds; its tensors are views of the file, mapped and not yet read.

    Raises TooLarge where it declares or has more than `max_bytes`; MalformedInput, naming what was
    found, where it is truncated, is no archive of torch's, or asks for anything to be called.
    """
    entry = _pickle_entry(path, max_bytes)
    _refuse_calls(path.name, _read_entry(path, entry))
    stand_ins: list[Any] = [(stand_in, name) for name, stand_in in STAND_INS.items()]
    with _one_at_a_time, torch.serialization.safe_globals(stand_ins):
        try:
            return torch.load(  # noqa: TID251 - this is the one safe reader
                str(path), map_location="cpu", weights_only=True, mmap=True
            )
        except _LOAD_ERRORS as problem:
            raise MalformedInput(
                f"{path.name}: not a readable checkpoint: {_in_short(problem, path)}"
            ) from problem


def write_public_checkpoint(content: Any, path: Path) -> None:
    """Writes containers, numbers and tensors as torch does, beside the target and then renamed."""
    beside = path.with_name(path.name + ".partial")
    try:
        torch.save(content, beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def called_names(pickled: bytes) -> list[str]:
    """Every global that a pickle names, in order, found by reading its opcodes.

    Raises ValueError where the bytes are no pickle; what was found before that is in its `args[1]`.
    """
    found: list[str] = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd escapes in damaged text
            for name in _globals(pickled):
                found.append(name)  # one by one: what came before the damage counts
    except (ValueError, IndexError, KeyError, struct.error) as problem:
        raise ValueError(str(problem), found) from problem
    return found


def _in_short(problem: Exception, path: Path) -> str:
    """The first line of what torch says, without the folder that the file lies in."""
    lines = str(problem).replace(str(path), path.name).splitlines() or [type(problem).__name__]
    return lines[0][:200]


def _pickle_entry(path: Path, max_bytes: int) -> zipfile.ZipInfo:
    """The archive's one data.pkl, after its directory has been held against the file."""
    size = path.stat().st_size
    if size > max_bytes:
        raise TooLarge(f"{path.name}: {size:,} bytes, at most {max_bytes:,} are read")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error) as problem:
        _refuse_bare_pickle(path)
        raise MalformedInput(
            f"{path.name}: no archive as torch writes it, or cut off before its end ({problem})"
        ) from problem
    declared = sum(entry.file_size for entry in entries)
    if declared > max_bytes:
        raise TooLarge(f"{path.name}: declares {declared:,} bytes, at most {max_bytes:,} are read")
    _check_entries(path.name, entries, size)
    return next(entry for entry in entries if entry.filename.endswith("/data.pkl"))


def _check_entries(name: str, entries: list[zipfile.ZipInfo], size: int) -> None:
    for entry in entries:
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise MalformedInput(f"{name}: {entry.filename} is compressed, torch stores plainly")
        if entry.header_offset + entry.file_size > size:
            raise MalformedInput(
                f"{name}: {entry.filename} declares {entry.file_size:,} bytes, "
                f"the whole file has {size:,}"
            )
    names = [entry.filename for entry in entries]
    if len(set(names)) != len(names):
        raise MalformedInput(f"{name}: two entries of the archive have one name")
    pickles = [entry for entry in entries if entry.filename.endswith(".pkl")]
    if len(pickles) != 1 or not pickles[0].filename.endswith("/data.pkl"):
        raise MalformedInput(f"{name}: an archive with one data.pkl was expected")
    if pickles[0].file_size > MAX_PICKLE_BYTES:
        raise TooLarge(
            f"{name}: its data.pkl has {pickles[0].file_size:,} bytes beside the tensors, "
            f"at most {MAX_PICKLE_BYTES:,} are read"
        )


def _read_entry(path: Path, entry: zipfile.ZipInfo) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(entry)
    except (zipfile.BadZipFile, EOFError, RuntimeError) as problem:
        raise MalformedInput(f"{path.name}: {entry.filename} is damaged: {problem}") from problem


def _refuse_calls(name: str, pickled: bytes) -> None:
    try:
        named = called_names(pickled)
    except ValueError as problem:
        named = list(problem.args[1])
        if not _foreign(named):
            raise MalformedInput(f"{name}: its pickle is damaged: {problem.args[0]}") from problem
    if foreign := _foreign(named):
        shown = ", ".join(foreign[:_SHOWN]) + (" and more" if len(foreign) > _SHOWN else "")
        raise MalformedInput(
            f"{name}: refused, nothing was run: opening it would call {shown}; "
            "a checkpoint may hold containers, numbers, text and tensors only"
        )
    if pickled[:2] != _PROTOCOL:
        raise MalformedInput(f"{name}: not the pickle protocol that torch writes (2)")


def _foreign(names: list[str]) -> list[str]:
    return [name for name in dict.fromkeys(names) if name not in INERT_GLOBALS | STAND_INS.keys()]


def _refuse_bare_pickle(path: Path) -> None:
    """A file that is a pickle itself is refused too; this names what it would have called."""
    with path.open("rb") as file:
        head = file.read(MAX_PICKLE_BYTES)
    if head[:1] != b"\x80":
        return
    _refuse_calls(path.name, head)
    raise MalformedInput(f"{path.name}: a bare pickle; expected an archive as torch.save writes it")


def _globals(pickled: bytes) -> Iterator[str]:
    """Names of GLOBAL, INST and STACK_GLOBAL; the last takes two strings that came before it."""
    strings: list[str] = []
    memo: dict[int, str] = {}
    top = ""  # what the memo would keep if the next opcode stores the top of the stack
    for opcode, argument, _ in pickletools.genops(pickled):
        if opcode.name in ("GLOBAL", "INST"):
            yield str(argument).replace(" ", ".", 1)
        elif opcode.name == "STACK_GLOBAL":
            yield ".".join(strings[-2:]) or "something unnamed"
        elif isinstance(argument, str):
            top = argument
            strings.append(argument)
        elif opcode.name in ("PUT", "BINPUT", "LONG_BINPUT"):
            memo[argument or 0] = top
        elif opcode.name == "MEMOIZE":
            memo[len(memo)] = top
        elif opcode.name in ("GET", "BINGET", "LONG_BINGET"):
            strings.append(memo.get(argument or 0, "?"))
        elif opcode.name in ("EXT1", "EXT2", "EXT4"):
            yield f"extension {argument}"
