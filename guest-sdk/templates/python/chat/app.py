"""Rooms in which people with names talk to each other.

A room is a topic: the host delivers what is said. Who sits where is session data, which the host keeps too, so that people stay in their
rooms when the handler fails; the lists of who is there are rebuilt from it.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Optional

import wsrun
from protocol import Join, Leave, Refused, Say, event, parse


class Chat(wsrun.Handler):
    def __init__(self) -> None:
        self.rooms: dict[str, dict[str, wsrun.Connection]] = {}
        """Name to connection, by room. A room is there while somebody is in it."""

    def received(self, connection: wsrun.Connection, message: wsrun.Message) -> None:
        seat = self.seat_of(connection)
        try:
            if isinstance(message, bytes):
                raise Refused("this chat is made of text")
            ask = parse(message)
            if isinstance(ask, Join):
                self.join(connection, seat, ask)
            elif isinstance(ask, Say):
                say(seat, ask.text)
            elif isinstance(ask, Leave):
                self.leave(connection, seat)
        except Refused as refused:
            reply(connection, event("error", message=str(refused)))

    def resumed(self, connection: wsrun.Connection) -> None:
        """This instance has taken over: it learns who is there."""
        self.seat_of(connection)

    def closed(self, connection: wsrun.Connection, info: wsrun.CloseInfo) -> None:
        self.leave(connection, self.seat_of(connection))

    def seat_of(self, connection: wsrun.Connection) -> Optional[Join]:
        """Where a connection is and under which name. An instance that is new puts it into the list of its room."""
        session = connection.session
        if not session:
            return None
        seat = Join(**json.loads(session))
        self.rooms.setdefault(seat.room, {}).setdefault(seat.name, connection)
        return seat

    def join(self, connection: wsrun.Connection, old: Optional[Join], new: Join) -> None:
        holder = self.rooms.get(new.room, {}).get(new.name)
        if holder is not None and holder != connection:
            raise Refused("somebody in this room has that name")
        self.leave(connection, old)
        try:
            connection.subscribe(new.room)
        except wsrun.Error:
            raise Refused("there are too many rooms: try again later") from None
        try:
            connection.session = json.dumps(asdict(new)).encode()
        except wsrun.Error:
            raise Refused("the connection is closing") from None

        room = self.rooms.setdefault(new.room, {})
        room[new.name] = connection
        try:
            wsrun.publish(new.room, event("joined", name=new.name), but=connection)
        except wsrun.Error:
            pass  # That takes a queue smaller than an event. Who is there is told to each who joins anyway.
        reply(connection, event("welcome", name=new.name, room=new.room, who=sorted(room)))

    def leave(self, connection: wsrun.Connection, seat: Optional[Join]) -> None:
        if seat is None:
            return
        room = self.rooms.get(seat.room, {})
        if room.get(seat.name) == connection:
            del room[seat.name]
        if not room:
            self.rooms.pop(seat.room, None)
        connection.unsubscribe(seat.room)
        try:
            connection.session = b""
        except wsrun.Closed:
            pass  # It is gone, and its session data with it.
        try:
            wsrun.publish(seat.room, event("left", name=seat.name))
        except wsrun.Error:
            pass


def say(seat: Optional[Join], text: str) -> None:
    if seat is None:
        raise Refused("join a room first")
    try:
        wsrun.publish(seat.room, event("said", name=seat.name, text=text))
    except wsrun.Error:
        raise Refused("nobody heard that: try again later") from None


def reply(connection: wsrun.Connection, message: str) -> None:
    try:
        connection.send(message)
    except wsrun.Error as error:
        connection.close(wsrun.CloseCode.POLICY_VIOLATION, str(error))
