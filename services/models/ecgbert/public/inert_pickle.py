"""Reads the few pickle instructions that joblib files of arrays consist of, and executes nothing.

This is not Python's unpickler with a list of allowed classes: it is an interpreter of its own that
knows no way to import a name or to call anything. A class becomes a `Name`, an object a `StandIn`
with its name and its attributes; whatever goes beyond that is refused, with what was tried.
The instructions' encodings are taken from the standard library's `pickletools`, which only parses.
"""

from __future__ import annotations

import io
import pickletools
import reprlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from services.errors import MalformedInput

_INSTRUCTIONS = {entry.code.encode("latin-1"): entry for entry in pickletools.opcodes}
_MARK = object()  # where a group of values on the stack begins

_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
# instructions that push the number or the text that follows them
_LITERALS = frozenset({"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"})
_LITERALS |= {"FLOAT", "BINFLOAT", "UNICODE", "BINUNICODE", "BINUNICODE8", "SHORT_BINUNICODE"}
_LITERALS |= {"BINBYTES", "BINBYTES8", "SHORT_BINBYTES"}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@dataclass(frozen=True)
class Name:
    """A class or function that the file names. Nothing was imported for it."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass
class StandIn:
    """What would have been an object: whose it was, what it was made from, what it held."""

    of: Name
    arguments: tuple[Any, ...] = ()
    state: Any = None


# called when an object has got its attributes; what it returns takes the object's place. It may
# read from the stream: joblib writes an array's bytes right behind the object that announces it.
WhenBuilt = Callable[[StandIn, io.BytesIO], Any]


class InertReader:
    """One file's values.

    may_name: the names that the file may mention. may_call: those whose call becomes a `StandIn`
    with the arguments; no other call is let through, and none is ever made.
    """

    def __init__(
        self,
        content: bytes,
        *,
        file_name: str,
        may_name: Collection[Name],
        may_call: Collection[Name],
        when_built: WhenBuilt,
    ) -> None:
        self._stream = io.BytesIO(content)
        self._file_name = file_name
        self._may_name, self._may_call = may_name, may_call
        self._when_built = when_built
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._forbidden: list[Name] = []

    def value(self) -> Any:
        """The one value of the file. MalformedInput for anything that is not read here."""
        if self._stream.getvalue()[:1] != b"\x80":
            raise self._refused("it does not begin as an uncompressed joblib file does")
        try:
            return self._run()
        except (IndexError, KeyError, ValueError, TypeError, OverflowError) as problem:
            raise self._refused(f"it is damaged ({problem})") from problem

    def _run(self) -> Any:
        while True:
            place = self._stream.tell()
            code = self._stream.read(1)
            instruction = _INSTRUCTIONS.get(code)
            if instruction is None:
                raise self._refused(f"it breaks off or is damaged at byte {place}")
            argument = instruction.arg.reader(self._stream) if instruction.arg else None
            if instruction.name == "STOP":
                return self._result()
            self._step(instruction.name, argument)

    def _result(self) -> Any:
        if self._forbidden:
            raise self._refused(f"it names {self._forbidden[0]}, which no file of clusters needs")
        return self._stack.pop()

    def _step(self, name: str, argument: Any) -> None:
        if name in _LITERALS:
            self._stack.append(argument)
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name])
        elif name in _TUPLES:
            n = _TUPLES[name]
            self._stack[-n:] = [tuple(self._stack[-n:])]
        elif (handler := _HANDLERS.get(name)) is not None:
            handler(self, argument)
        else:
            shown = "" if argument is None else f" {reprlib.repr(argument)}"
            raise self._refused(f"it asks for {name}{shown}, which no file of clusters needs")

    def _refused(self, why: str) -> MalformedInput:
        return MalformedInput(f"{self._file_name}: {why}; nothing in it was executed")

    # values and containers

    def _group(self) -> list[Any]:
        """What was pushed since the last mark."""
        at = max(i for i, value in enumerate(self._stack) if value is _MARK)
        group = self._stack[at + 1 :]
        del self._stack[at:]
        return group

    def _mark(self, _: Any) -> None:
        self._stack.append(_MARK)

    def _pop(self, _: Any) -> None:
        self._stack.pop()

    def _nothing(self, _: Any) -> None:
        """PROTO and FRAME only say how the rest is written."""

    def _tuple(self, _: Any) -> None:
        self._stack.append(tuple(self._group()))

    def _empty_tuple(self, _: Any) -> None:
        self._stack.append(())

    def _empty_list(self, _: Any) -> None:
        self._stack.append([])

    def _empty_dict(self, _: Any) -> None:
        self._stack.append({})

    def _append(self, _: Any) -> None:
        value = self._stack.pop()
        self._top(list).append(value)

    def _appends(self, _: Any) -> None:
        values = self._group()
        self._top(list).extend(values)

    def _set_item(self, _: Any) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._top(dict)[key] = value

    def _set_items(self, _: Any) -> None:
        values = self._group()
        self._top(dict).update(zip(values[::2], values[1::2], strict=True))

    def _memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _put(self, place: int) -> None:
        self._memo[place] = self._stack[-1]

    def _get(self, place: int) -> None:
        self._stack.append(self._memo[place])

    def _top(self, kind: type[Any]) -> Any:
        if not isinstance(self._stack[-1], kind):
            raise TypeError(f"a {kind.__name__} was expected")
        return self._stack[-1]

    # names and what is done with them

    def _global(self, argument: str) -> None:
        module, name = argument.split(" ", 1)
        self._push_name(Name(module, name))

    def _stack_global(self, _: Any) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        self._push_name(Name(str(module), str(name)))

    def _push_name(self, name: Name) -> None:
        # not refused here yet: what is done with it tells a person more
        if name not in self._may_name:
            self._forbidden.append(name)
        self._stack.append(name)

    def _instance(self, argument: str) -> None:
        module, name = argument.split(" ", 1)
        raise self._refused(f"it calls {module}.{name}{_shown(tuple(self._group()))}")

    def _object(self, _: Any) -> None:
        target, *arguments = self._group()
        raise self._refused(f"it calls {_called(target)}{_shown(tuple(arguments))}")

    def _new_object(self, _: Any) -> None:
        arguments, target = self._stack.pop(), self._stack.pop()
        if target not in self._may_name or arguments != ():
            raise self._refused(f"it makes a {_called(target)} from {_shown(arguments)}")
        self._stack.append(StandIn(target))

    def _call(self, _: Any) -> None:
        arguments, target = self._stack.pop(), self._stack.pop()
        if target not in self._may_call or not isinstance(arguments, tuple):
            raise self._refused(f"it calls {_called(target)}{_shown(arguments)}")
        self._stack.append(StandIn(target, arguments))

    def _build(self, _: Any) -> None:
        state = self._stack.pop()
        if not isinstance(self._stack[-1], StandIn):
            raise self._refused(f"it gives attributes to {_called(self._stack[-1])}")
        self._stack[-1].state = state
        self._stack[-1] = self._when_built(self._stack[-1], self._stream)


def _called(target: Any) -> str:
    return str(target) if isinstance(target, Name) else reprlib.repr(target)


def _shown(arguments: Any) -> str:
    """Arguments as a person would write them, shortened: they may be deep or huge."""
    return reprlib.repr(arguments)


_HANDLERS: dict[str, Callable[[InertReader, Any], None]] = {
    "PROTO": InertReader._nothing,
    "FRAME": InertReader._nothing,
    "MARK": InertReader._mark,
    "POP": InertReader._pop,
    "TUPLE": InertReader._tuple,
    "EMPTY_TUPLE": InertReader._empty_tuple,
    "EMPTY_LIST": InertReader._empty_list,
    "EMPTY_DICT": InertReader._empty_dict,
    "APPEND": InertReader._append,
    "APPENDS": InertReader._appends,
    "SETITEM": InertReader._set_item,
    "SETITEMS": InertReader._set_items,
    "MEMOIZE": InertReader._memoize,
    "PUT": InertReader._put,
    "BINPUT": InertReader._put,
    "LONG_BINPUT": InertReader._put,
    "GET": InertReader._get,
    "BINGET": InertReader._get,
    "LONG_BINGET": InertReader._get,
    "GLOBAL": InertReader._global,
    "STACK_GLOBAL": InertReader._stack_global,
    "INST": InertReader._instance,
    "OBJ": InertReader._object,
    "NEWOBJ": InertReader._new_object,
    "REDUCE": InertReader._call,
    "BUILD": InertReader._build,
}
