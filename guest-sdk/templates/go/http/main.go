// A page, an API and the sockets that they speak of, from one handler.
package main

import (
	_ "embed"
	"strconv"

	"wsrun"
	"wsrun/web"
)

//go:embed page.html
var page string

type site struct{}

// Received sends what one says to everybody.
func (site) Received(c wsrun.Connection, m wsrun.Message) {
	if _, err := wsrun.Broadcast(m); err != nil {
		c.SendText(err.Error())
	}
}

func answer(r *web.Request) web.Response {
	if r.Method == "GET" || r.Method == "HEAD" {
		switch r.Path {
		case "/":
			return web.HTML(page)
		case "/api/count":
			return web.JSON(`{"connections":` + strconv.Itoa(wsrun.ConnectionCount()) + `}`)
		}
	}
	return web.Text("there is nothing here\n").WithStatus(404)
}

func init() {
	wsrun.Handle(site{})
	web.Handle(answer)
}

func main() {}
