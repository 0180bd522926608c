// Connects out: what comes from the server at `--config url=ws://...` goes to everybody who is connected here, and what they say goes to it.
package main

import (
	"log"

	"wsrun"
	"wsrun/client"
	"wsrun/lifecycle"
	"wsrun/reconnection"
)

// Everybody who is connected here.
const listeners = "listeners"

// The connection to the server, while it is open. The host keeps topics when it lets an instance go: one that has just been made reaches the
// server by this name before it is told of the connection.
const server = "server"

type relay struct {
	// The connection to the server, as soon as it is known; the host makes it anew when it is lost. 0 when there is none.
	upstream wsrun.Connection
}

func isUpstream(c wsrun.Connection) bool {
	request := c.Request()
	return request != nil && request.Role == wsrun.Client
}

func (r *relay) Started() {
	url, given := wsrun.Config("url")
	if !given {
		log.Print("say where to connect to: --config url=ws://...")
		return
	}
	// Who speaks is told when there is no room for it.
	wsrun.SetTopicSlowPolicy(server, wsrun.Wait)
	upstream, err := client.Connect(url, &client.Options{Reconnect: &client.Reconnect{}})
	if err != nil {
		log.Print("not connected: ", err)
		return
	}
	r.upstream = upstream
}

// Resumed is called when this instance has taken over from another, whose connection to the server goes on: one is enough.
func (r *relay) Resumed(c wsrun.Connection) {
	if isUpstream(c) {
		r.upstream.Close(wsrun.CloseNormal, "")
		r.upstream = c
	}
}

func (r *relay) Opened(c wsrun.Connection) {
	if isUpstream(c) {
		c.Subscribe(server)
	} else {
		c.Subscribe(listeners)
	}
}

func (r *relay) Received(c wsrun.Connection, m wsrun.Message) {
	if isUpstream(c) {
		wsrun.Publish(listeners, m)
	} else if receivers, err := wsrun.Publish(server, m); err != nil || receivers == 0 {
		c.SendText("the server is away: try again later")
	}
}

func (r *relay) Closed(c wsrun.Connection, _ wsrun.CloseInfo) {
	if err := client.Failure(c); err != nil {
		log.Print("not connected: ", err)
	}
	if c == r.upstream {
		r.upstream = 0
	}
}

func init() {
	log.SetFlags(0)
	r := &relay{}
	wsrun.Handle(r)
	lifecycle.Handle(r)
	reconnection.HandleLost(func(c wsrun.Connection, loss reconnection.Loss) {
		c.Unsubscribe(server)
		log.Printf("lost the server (%d): attempt %d in %v", loss.Code, loss.Attempt, loss.After)
	})
	reconnection.HandleRestored(func(c wsrun.Connection) { c.Subscribe(server) })
}

func main() {}
