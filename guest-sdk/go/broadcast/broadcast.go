// Package broadcast decides to whom a broadcast goes.
package broadcast

import (
	"unsafe"

	"wsrun"
	"wsrun/internal/abi"
)

var handle func(wsrun.Connection, wsrun.Message) bool

// Handle says who decides, for each connection: false leaves it out. What it sends itself goes behind the broadcast; a broadcast in it
// traps.
func Handle(wanted func(wsrun.Connection, wsrun.Message) bool) {
	handle = wanted
}

func onWanted(connection uint64, tag uint32, data unsafe.Pointer, size uint32) uint32 {
	defer abi.GiveBack()
	if handle == nil || handle(wsrun.Connection(connection), wsrun.MessageFrom(tag, data, size)) {
		return 1
	}
	return 0
}
