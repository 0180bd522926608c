// Sends back what it receives.
package main

import "wsrun"

type echo struct{}

func (echo) Received(c wsrun.Connection, m wsrun.Message) {
	c.Send(m)
}

func init() { wsrun.Handle(echo{}) }

func main() {}
