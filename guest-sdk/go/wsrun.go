// Package wsrun writes handlers for the WebSocket runtime wsrun in Go.
//
// A handler is a program whose main is empty. It says in an init what is to be called:
//
//	package main
//
//	import "wsrun"
//
//	type echo struct{}
//
//	func (echo) Received(c wsrun.Connection, m wsrun.Message) {
//		c.Send(m)
//	}
//
//	func init() { wsrun.Handle(echo{}) }
//
//	func main() {}
//
// What not every handler needs is in packages of its own. A component has the exports of the packages that it imports, and no others:
//
//	wsrun/handshake     accepts and refuses opening handshakes
//	wsrun/writable      is told when a queue has drained
//	wsrun/chunks        takes messages in parts, for messages larger than memory
//	wsrun/pong          is told of pongs
//	wsrun/timers        sets timers and is told when they fire
//	wsrun/client        connects out
//	wsrun/reconnection  is told when an outbound connection is lost and restored
//	wsrun/web           answers plain HTTP requests
//	wsrun/broadcast     decides to whom a broadcast goes
//	wsrun/network       decides by address who may connect
//	wsrun/lifecycle     is told of the life of the instance, and hands state over to the next version
//
// What holds everywhere: events of one connection come in order and one at a time, and nothing runs beside a callback. Nothing that is
// called blocks or calls back. Effects happen in order when the callback returns, and none of them if it panics or overruns its deadline:
// then the one connection closes with 1011, and a new instance with fresh memory takes over. Goroutines run only while a callback waits for
// them: one that is left behind goes on in the next callback that waits, if ever.
package wsrun

import (
	"encoding/binary"
	"unsafe"

	"wsrun/internal/abi"
)

// Opener is told that a connection is open: messages may be sent to it.
type Opener interface {
	Opened(Connection)
}

// Receiver is told of messages, of at most 1 MiB by default.
type Receiver interface {
	Received(Connection, Message)
}

// Closer is told that a connection is gone, or that one that client.Connect made could not be opened.
type Closer interface {
	Closed(Connection, CloseInfo)
}

var (
	opener   Opener
	receiver Receiver
	closer   Closer
)

// Handle says what is to be called: a value with some of the methods of Opener, Receiver and Closer. Call it in an init.
func Handle(handler any) {
	opener, _ = handler.(Opener)
	receiver, _ = handler.(Receiver)
	closer, _ = handler.(Closer)
	if opener == nil && receiver == nil && closer == nil {
		panic("wsrun.Handle: the handler has none of the methods Opened, Received and Closed, or not with these parameters")
	}
}

func onOpened(connection uint64) {
	if opener != nil {
		opener.Opened(Connection(connection))
	}
	abi.GiveBack()
}

func onReceived(connection uint64, tag uint32, data unsafe.Pointer, size uint32) {
	if receiver != nil {
		receiver.Received(Connection(connection), MessageFrom(tag, data, size))
	}
	abi.GiveBack()
}

// Messages that arrived together come in one call: before each are 4 bytes with its length, and with whether it is a text.
func onPackedReceived(connection uint64, data unsafe.Pointer, size uint32, _ uint32) {
	const isText = 1 << 31
	for at := uint32(0); receiver != nil && at < size; {
		prefix := binary.LittleEndian.Uint32(unsafe.Slice((*byte)(unsafe.Add(data, at)), 4))
		length := prefix &^ isText
		tag := uint32(abi.MessageBinary)
		if prefix&isText != 0 {
			tag = abi.MessageText
		}
		receiver.Received(Connection(connection), MessageFrom(tag, unsafe.Add(data, at+4), length))
		at += 4 + length
	}
	abi.GiveBack()
}

func onClosed(connection uint64, code uint32, reason unsafe.Pointer, size uint32, by uint32, clean uint32) {
	if closer != nil {
		closer.Closed(Connection(connection), CloseInfoFrom(code, reason, size, by, clean))
	}
	abi.GiveBack()
}
