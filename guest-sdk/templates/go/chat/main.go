// Rooms in which people with names talk to each other.
//
// A room is a topic: the host delivers what is said. Who sits where is session data, which the host keeps too, so that people stay in their
// rooms when the handler traps; the lists of who is there are rebuilt from it.
package main

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"wsrun"
	"wsrun/lifecycle"
)

// seat is where a connection is and under which name. As session data: the name, a line feed, the room.
type seat struct{ name, room string }

type chat struct {
	// Name to connection, by room. A room is there while somebody is in it.
	rooms map[string]map[string]wsrun.Connection
}

func (c *chat) Received(connection wsrun.Connection, message wsrun.Message) {
	at, sits := c.seatOf(connection)
	if err := c.handle(connection, at, sits, message); err != nil {
		reply(connection, event("error", "message", err.Error()))
	}
}

func (c *chat) handle(connection wsrun.Connection, at seat, sits bool, message wsrun.Message) error {
	if message.Kind == wsrun.Binary {
		return errors.New("this chat is made of text")
	}
	request, err := parse(message.String())
	if err != nil {
		return err
	}
	switch request := request.(type) {
	case join:
		return c.join(connection, at, sits, seat(request))
	case say:
		if !sits {
			return errors.New("join a room first")
		}
		said := event("said", "name", at.name, "text", request.text)
		if _, err := wsrun.Publish(at.room, wsrun.TextMessage(said)); err != nil {
			return errors.New("nobody heard that: try again later")
		}
	case leave:
		if sits {
			c.leave(connection, at)
		}
	}
	return nil
}

// Resumed is called when this instance has taken over: it learns who is there.
func (c *chat) Resumed(connection wsrun.Connection) {
	c.seatOf(connection)
}

func (c *chat) Closed(connection wsrun.Connection, _ wsrun.CloseInfo) {
	if at, sits := c.seatOf(connection); sits {
		c.leave(connection, at)
	}
}

// seatOf is the seat of a connection. An instance that is new puts it into the list of its room.
func (c *chat) seatOf(connection wsrun.Connection) (seat, bool) {
	name, room, sits := strings.Cut(string(connection.Session()), "\n")
	if !sits {
		return seat{}, false
	}
	if _, known := c.people(room)[name]; !known {
		c.people(room)[name] = connection
	}
	return seat{name, room}, true
}

// people is the list of a room, which is made if need be.
func (c *chat) people(room string) map[string]wsrun.Connection {
	people := c.rooms[room]
	if people == nil {
		people = map[string]wsrun.Connection{}
		c.rooms[room] = people
	}
	return people
}

func (c *chat) join(connection wsrun.Connection, old seat, sits bool, at seat) error {
	if holder, taken := c.rooms[at.room][at.name]; taken && holder != connection {
		return errors.New("somebody in this room has that name")
	}
	if sits {
		c.leave(connection, old)
	}
	if connection.Subscribe(at.room) != nil {
		return errors.New("there are too many rooms: try again later")
	}
	if connection.SetSession([]byte(at.name+"\n"+at.room)) != nil {
		return errors.New("the connection is closing")
	}
	people := c.people(at.room)
	people[at.name] = connection
	// That it fails takes a queue smaller than an event. Who is there is told to each who joins anyway.
	wsrun.PublishExcept(at.room, wsrun.TextMessage(event("joined", "name", at.name)), connection)
	reply(connection, welcome(at.name, at.room, slices.Sorted(maps.Keys(people))))
	return nil
}

func (c *chat) leave(connection wsrun.Connection, at seat) {
	if people := c.rooms[at.room]; people != nil {
		if people[at.name] == connection {
			delete(people, at.name)
		}
		if len(people) == 0 {
			delete(c.rooms, at.room)
		}
	}
	connection.Unsubscribe(at.room)
	// The connection may be gone already, and its session data with it.
	connection.SetSession(nil)
	wsrun.Publish(at.room, wsrun.TextMessage(event("left", "name", at.name)))
}

func reply(connection wsrun.Connection, event string) {
	if err := connection.SendText(event); err != nil {
		connection.Close(wsrun.ClosePolicyViolation, err.Error())
	}
}

func init() {
	c := &chat{rooms: map[string]map[string]wsrun.Connection{}}
	wsrun.Handle(c)
	lifecycle.Handle(c)
}

func main() {}
