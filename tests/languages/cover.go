// See README.md.
package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"wsrun"
	"wsrun/broadcast"
	"wsrun/client"
	"wsrun/handshake"
	"wsrun/lifecycle"
	"wsrun/network"
	"wsrun/pong"
	"wsrun/reconnection"
	"wsrun/timers"
	"wsrun/web"
	"wsrun/writable"
)

type cover struct {
	messages, resumed int
	started, restored bool
}

func shown(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func nameOf(err error) string {
	var full wsrun.QueueFullError
	var large wsrun.TooLargeError
	var denied client.DeniedError
	var invalid client.InvalidError
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, wsrun.ErrClosed):
		return "closed"
	case errors.As(err, &full):
		return "queue-full"
	case errors.As(err, &large):
		return fmt.Sprint("too-large ", large.Limit)
	case errors.Is(err, wsrun.ErrInvalidText):
		return "invalid-text"
	case errors.Is(err, wsrun.ErrWrongKind):
		return "wrong-kind"
	case errors.Is(err, wsrun.ErrInvalidName):
		return "invalid-name"
	case errors.As(err, &denied):
		return fmt.Sprint("denied ", denied != "")
	case errors.As(err, &invalid):
		return fmt.Sprint("invalid ", invalid != "")
	case errors.Is(err, client.ErrUnsupportedVersion):
		return "unsupported-version false"
	}
	return err.Error()
}

func tell(line string) {
	wsrun.Publish("clients", wsrun.TextMessage(line))
}

func isClient(c wsrun.Connection) bool {
	request := c.Request()
	return request != nil && request.Role == wsrun.Client
}

func decide(request *wsrun.Request) (handshake.Acceptance, error) {
	if request.Path == "/refuse" {
		return handshake.Acceptance{}, &handshake.Refusal{
			Status: 418, Headers: []wsrun.Header{{Name: "x-why", Value: "because"}}, Body: "no",
		}
	}
	acceptance := handshake.Acceptance{
		Headers: []wsrun.Header{{Name: "x-sdk", Value: "yes"}},
		Session: []byte(request.QueryValue("name")),
	}
	if len(request.Offered) > 0 {
		acceptance.Protocol = request.Offered[len(request.Offered)-1]
	}
	return acceptance, nil
}

func (*cover) Opened(c wsrun.Connection) {
	if !isClient(c) {
		c.SendText("opened server")
		return
	}
	response := client.ResponseOf(c)
	tell(fmt.Sprint("out opened ", shown(c.Protocol()), " ", string(c.Session()), " ", response.Status, " ", len(response.Headers) > 2))
	if string(c.Session()) == "again" {
		c.SendText("abort")
	}
}

func connectTo(path string, again bool, version uint8) string {
	url, _ := wsrun.Config("url")
	options := client.Options{
		Protocols:   []string{"one", "two"},
		Origin:      "http://origin.example",
		Headers:     []wsrun.Header{{Name: "x-test", Value: "sent"}},
		Version:     version,
		Compression: true,
		Timeout:     5 * time.Second,
		Session:     []byte("once"),
	}
	if again {
		options.Reconnect = &client.Reconnect{AttemptsMax: 3, Delay: 20 * time.Millisecond}
		options.Session = []byte("again")
	}
	_, err := client.Connect(url+path, &options)
	return nameOf(err)
}

func (h *cover) answer(c wsrun.Connection, message string) string {
	command, rest, _ := strings.Cut(message, " ")
	counted := func(count int, err error) string {
		return nameOf(err) + " " + strconv.Itoa(count)
	}
	switch command {
	case "request":
		r := c.Request()
		role := "server"
		if r.Role == wsrun.Client {
			role = "client"
		}
		return fmt.Sprint(role, " ", r.Path, " ", shown(r.Query), " ", shown(r.Header("x-test")), " ", strconv.Itoa(len(r.Offered)), " ", r.Secure, " ", shown(r.Host))
	case "protocol":
		return shown(c.Protocol())
	case "session":
		return string(c.Session())
	case "keep":
		return nameOf(c.SetSession([]byte(rest)))
	case "sub":
		return nameOf(c.Subscribe(rest))
	case "unsub":
		return strconv.FormatBool(c.Unsubscribe(rest))
	case "pub", "pubx":
		topic, text, _ := strings.Cut(rest, " ")
		if command == "pubx" {
			return counted(wsrun.PublishExcept(topic, wsrun.TextMessage(text), c))
		}
		return counted(wsrun.Publish(topic, wsrun.TextMessage(text)))
	case "cast":
		return counted(wsrun.Broadcast(wsrun.TextMessage(rest)))
	case "castp":
		protocol, text, _ := strings.Cut(rest, " ")
		return counted(wsrun.BroadcastTo(protocol, wsrun.TextMessage(text)))
	case "slow":
		c.SetSlowPolicy(wsrun.Disconnect(4001))
		c.SetSlowPolicy(wsrun.Default)
		wsrun.SetTopicSlowPolicy("slow", wsrun.LatestOnly)
		c.ReceiveFlow(true)
		return fmt.Sprint(c.Dropped(), " ", wsrun.TopicDropped("slow"))
	case "timer":
		_, err := timers.SetFor(c, time.Millisecond, 1<<40)
		return nameOf(err)
	case "timer0":
		_, err := timers.Set(time.Millisecond, 8)
		return nameOf(err)
	case "cancel":
		timer, _ := timers.SetFor(c, time.Minute, 9)
		first := timer.Cancel()
		return fmt.Sprint(first, " ", timer.Cancel())
	case "ping":
		return nameOf(c.Ping([]byte(rest)))
	case "pong":
		return nameOf(c.Pong([]byte(rest)))
	case "parts":
		c.SendChunk(wsrun.Text, []byte("ab"), false)
		return nameOf(c.SendChunk(wsrun.Text, []byte("cd"), true))
	case "wrong":
		c.SendChunk(wsrun.Text, []byte("a"), false)
		err := c.SendChunk(wsrun.Binary, []byte("b"), true)
		c.SendChunk(wsrun.Text, nil, true)
		return nameOf(err)
	case "invalid":
		return nameOf(c.SendChunk(wsrun.Text, []byte{0xff}, true))
	case "large":
		return nameOf(c.SendBinary(make([]byte, 3<<20)))
	case "full":
		part := make([]byte, 1<<16)
		for {
			err := c.SendBinary(part)
			if err == nil {
				continue
			}
			c.WantWritable()
			if full, ok := err.(wsrun.QueueFullError); ok && full.Queued == c.Buffered() {
				return ""
			}
			return "wrong"
		}
	case "writable":
		wsrun.WantWritableAll(rest)
		return ""
	case "unknown":
		return nameOf(wsrun.Connection(999).SendText("x"))
	case "auto":
		reply := wsrun.TextMessage("beat!")
		return nameOf(wsrun.SetAutoReply(wsrun.TextMessage("beat?"), &reply))
	case "unauto":
		return nameOf(wsrun.SetAutoReply(wsrun.TextMessage("beat?"), nil))
	case "host":
		key, _ := wsrun.Config("key")
		none, _ := wsrun.Config("none")
		return fmt.Sprint(wsrun.HandlerName(), " ", shown(key), " ", shown(none), " ", strconv.Itoa(wsrun.ConnectionCount()), " ", wsrun.Hostname() != "")
	case "connect":
		return connectTo("/?name=out", false, 0)
	case "reconnect":
		return connectTo("/?name=out", true, 0)
	case "refused":
		return connectTo("/refuse", false, 0)
	case "version":
		return connectTo("/", false, 9)
	case "connect-to":
		_, err := client.Connect(rest, nil)
		return nameOf(err)
	case "life":
		return fmt.Sprint(h.started, " ", h.restored, " ", h.resumed, " ", h.messages)
	case "close":
		c.Close(4001, "bye")
		return ""
	case "abort":
		c.Abort()
		return ""
	}
	return "unknown command"
}

func (h *cover) Received(c wsrun.Connection, m wsrun.Message) {
	h.messages++
	if isClient(c) {
		tell("out got " + m.String())
		if string(c.Session()) != "again" {
			c.Close(wsrun.CloseNormal, "")
		}
		return
	}
	if m.Kind == wsrun.Binary {
		c.SendBinary(m.Data)
		return
	}
	if reply := h.answer(c, m.String()); reply != "" {
		c.SendText(reply)
	}
}

func (*cover) Closed(c wsrun.Connection, info wsrun.CloseInfo) {
	var refused client.RefusedError
	if errors.As(client.Failure(c), &refused) {
		tell("out refused " + strconv.Itoa(int(refused)))
		return
	}
	by := [...]string{"peer", "handler", "host"}[info.By]
	tell(fmt.Sprint("closed ", info.Code, " ", shown(info.Reason), " ", by, " ", info.Clean))
}

func (h *cover) Started()                   { h.started = true }
func (h *cover) Resumed(_ wsrun.Connection) { h.resumed++ }
func (h *cover) Save() []byte               { return []byte(strconv.Itoa(h.messages)) }

func (h *cover) Restore(state []byte) (err error) {
	h.messages, err = strconv.Atoi(string(state))
	h.restored = err == nil
	return err
}

func (*cover) Draining(deadline time.Duration) {
	tell(fmt.Sprint("draining ", deadline > 0))
}

func init() {
	h := &cover{}
	wsrun.Handle(h)
	lifecycle.Handle(h)
	handshake.Handle(decide)
	reconnection.HandleLost(func(_ wsrun.Connection, loss reconnection.Loss) {
		tell(fmt.Sprint("lost ", loss.Code, " ", loss.Attempt, " ", loss.After <= 20*time.Millisecond))
	})
	reconnection.HandleRestored(func(c wsrun.Connection) {
		tell("restored")
		c.Close(wsrun.CloseNormal, "")
	})
	writable.Handle(func(c wsrun.Connection) { c.SendText("writable") })
	broadcast.Handle(func(c wsrun.Connection, _ wsrun.Message) bool { return string(c.Session()) != "deaf" })
	network.Handle(func(peer, local string) bool { return !strings.HasPrefix(peer, "127.0.0.2:") && local != "" })
	web.Handle(func(r *web.Request) web.Response {
		if r.Path == "/file" {
			return web.File("file.txt")
		}
		body := fmt.Sprint(r.Path, " ", shown(r.QueryValue("a b")), " ", strconv.Itoa(len(r.Body)))
		return web.Text(body).WithStatus(201).WithHeader("x-method", r.Method)
	})
	pong.Handle(func(c wsrun.Connection, payload []byte) { c.SendText("pong " + string(payload)) })
	timers.Handle(func(fired timers.Fired) {
		line := fmt.Sprint("timer ", fired.Tag)
		if fired.HasConnection {
			fired.Connection.SendText(line)
		} else {
			tell(line)
		}
	})
}

func main() {}
