// Package pong is told of pongs of the peer, asked for or not.
package pong

import (
	"unsafe"

	"wsrun"
	"wsrun/internal/abi"
)

var handle func(wsrun.Connection, []byte)

// Handle says who is told of pongs, whose payload has at most 125 bytes.
func Handle(pong func(c wsrun.Connection, payload []byte)) {
	handle = pong
}

func onPong(connection uint64, payload unsafe.Pointer, size uint32) {
	if handle != nil {
		handle(wsrun.Connection(connection), abi.BytesAt(payload, size))
	}
	abi.GiveBack()
}
