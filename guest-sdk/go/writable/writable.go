// Package writable is told when the queue of a connection has drained: once for each wsrun.Connection.WantWritable.
package writable

import (
	"wsrun"
	"wsrun/internal/abi"
)

var handle func(wsrun.Connection)

// Handle says who is told.
func Handle(writable func(wsrun.Connection)) {
	handle = writable
}

func onWritable(connection uint64) {
	if handle != nil {
		handle(wsrun.Connection(connection))
	}
	abi.GiveBack()
}
