"""The SDK covers the contract: what is generated from wit/ is compared with what is written by hand, over a host that is not there.

Run with ``python3 -m unittest discover guest-sdk/python/tests``.
"""

from __future__ import annotations

import dataclasses
import enum
import importlib
import inspect
import sys
import typing
import unittest
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parent
sys.path[:0] = [str(TESTS.parent), str(TESTS / "world")]

import fake_host
import wsrun
from componentize_py_types import Err
from wit_world.exports import chunks, handshake
from wit_world.imports import client, connections, timers, topics, types
from wsrun import _exports, _translation
from wsrun_build._contract import EXPORTS, IMPORTS
from wsrun_build._look import ALWAYS
from wsrun_build._look import EXPORTS as EXPORT_OF_METHOD

CONNECTION = wsrun.Connection(7)

CALLS: list[typing.Callable[[], Any]] = [
    lambda: CONNECTION.send("text"),
    lambda: CONNECTION.send_chunk(b"part", final=True),
    lambda: CONNECTION.send_text_bytes(b"part", final=True),
    lambda: CONNECTION.ping(),
    lambda: CONNECTION.pong(),
    lambda: CONNECTION.close(),
    lambda: CONNECTION.abort(),
    lambda: CONNECTION.buffered,
    lambda: CONNECTION.want_writable(),
    lambda: CONNECTION.set_slow_policy(wsrun.Slow.WAIT),
    lambda: CONNECTION.dropped,
    lambda: CONNECTION.receive_flow(True),
    lambda: CONNECTION.request,
    lambda: CONNECTION.protocol,
    lambda: CONNECTION.session,
    lambda: setattr(CONNECTION, "session", b"data"),
    lambda: CONNECTION.subscribe("topic"),
    lambda: CONNECTION.unsubscribe("topic"),
    lambda: CONNECTION.set_timer(1),
    lambda: CONNECTION.failure,
    lambda: CONNECTION.response,
    lambda: wsrun.Timer(1).cancel(),
    lambda: wsrun.publish("topic", "text"),
    lambda: wsrun.broadcast("text"),
    lambda: wsrun.set_slow_policy("topic", 4000),
    lambda: wsrun.dropped("topic"),
    lambda: wsrun.want_writable_all(),
    lambda: wsrun.auto_reply("text", b"bytes"),
    lambda: wsrun.connect("ws://host/", reconnect=wsrun.Reconnect()),
    lambda: wsrun.set_timer(1),
    lambda: wsrun.hostname(),
    lambda: wsrun.handler_name(),
    lambda: wsrun.config("key"),
    lambda: wsrun.connection_count(),
]
"""Everything of the SDK that asks the host."""

ERRORS = [
    types.SendError,
    types.PublishError,
    connections.ChunkError,
    connections.AutoReplyError,
    topics.SubscribeError,
    timers.TimerError,
    client.ConnectError,
]

WRITTEN = {name: functions for name, functions in EXPORTS.items() if name != "packed"}
"""Exports that the SDK has."""


def sample(of: Any) -> Any:
    """A value of a type of the contract."""
    if dataclasses.is_dataclass(of):
        return of(**{name: sample(hint) for name, hint in typing.get_type_hints(of).items()})
    if inspect.isclass(of) and issubclass(of, enum.Enum):
        return next(iter(of))
    origin, arguments = typing.get_origin(of), typing.get_args(of)
    if origin is typing.Union:
        return sample(arguments[0])
    if origin is list:
        return [sample(arguments[0])]
    if origin is tuple:
        return tuple(map(sample, arguments))
    return of()


def fields(of: Any) -> set[str]:
    return {field.name for field in dataclasses.fields(of)}


class Contract(unittest.TestCase):
    def setUp(self) -> None:
        fake_host.asked_for.clear()
        fake_host.answers.clear()

    def test_every_function_of_the_host_is_called(self) -> None:
        for call in CALLS:
            call()
        without_packed = {name: functions for name, functions in IMPORTS.items() if name != "packed-send"}
        expected = {(name, function) for name, functions in without_packed.items() for function in functions}
        self.assertEqual(set(fake_host.asked_for), expected)

    def test_every_error_is_an_exception_of_the_sdk(self) -> None:
        for cases in ERRORS:
            for case in typing.get_args(cases):
                value = sample(case)
                if case is client.ConnectError_UnsupportedVersion:
                    value = case(b"\x0d")
                with self.subTest(case.__name__):
                    self.assertIsInstance(_translation.translated(Err(value)), wsrun.Error)

    def test_full_queue_tells_what_is_in_it(self) -> None:
        full = _translation.translated(Err(types.SendError_QueueFull(5)))
        self.assertIsInstance(full, wsrun.QueueFull)
        self.assertEqual(full.queued, 5)

    def test_every_failure_has_its_words(self) -> None:
        kinds = set()
        for case in typing.get_args(client.Failure):
            kinds.add(_translation.failure_of(sample(case)).kind)
        self.assertEqual(len(kinds), len(typing.get_args(client.Failure)))

    def test_every_policy_can_be_set(self) -> None:
        made = {type(_translation.raw_policy(policy)) for policy in [*wsrun.Slow, 4000]}
        self.assertEqual(made, set(typing.get_args(types.SlowPolicy)))

    def test_records_have_the_fields_of_the_contract(self) -> None:
        for own, of in [
            (wsrun.Request, types.Request),
            (wsrun.CloseInfo, types.CloseInfo),
            (wsrun.Response, client.Response),
            (wsrun.Chunk, chunks.Chunk),
            (wsrun.Accept, handshake.Acceptance),
            (wsrun.Refuse, handshake.Refusal),
        ]:
            with self.subTest(own.__name__):
                self.assertEqual(fields(own), fields(of))
        self.assertEqual({name.removesuffix("_ms") for name in fields(client.Reconnect)}, {"attempts_max", "delay", "delay_max"})

    def test_every_export_has_its_functions(self) -> None:
        for name, functions in WRITTEN.items():
            module = importlib.import_module(f"wsrun._exports.{name.replace('-', '_')}")
            glue = getattr(module, "".join(word.capitalize() for word in name.split("-")))
            found = {
                function: list(inspect.signature(getattr(glue, function)).parameters)[1:]
                for function in vars(glue)
                if not function.startswith("_")
            }
            with self.subTest(name):
                self.assertEqual(found, functions)

    def test_every_export_belongs_to_a_method(self) -> None:
        self.assertEqual({*EXPORT_OF_METHOD.values(), "handler", "packed"}, set(EXPORTS))
        methods = {name for name in vars(wsrun.Handler) if not name.startswith("_")}
        self.assertEqual({*EXPORT_OF_METHOD, *ALWAYS}, methods)

    def test_callbacks_take_what_the_host_gives(self) -> None:
        _exports.use(wsrun.Handler)
        hints = {"types": types, "chunks": chunks}
        for name, functions in WRITTEN.items():
            module = importlib.import_module(f"wsrun._exports.{name.replace('-', '_')}")
            glue = getattr(module, "".join(word.capitalize() for word in name.split("-")))()
            for function in functions:
                method = getattr(glue, function)
                given = typing.get_type_hints(method, {**vars(module), **hints})
                given.pop("return", None)
                with self.subTest(f"{name}.{function}"):
                    method(**{parameter: sample(of) for parameter, of in given.items()})



if __name__ == "__main__":
    unittest.main()
