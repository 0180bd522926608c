// Package reconnection is told when the host makes an outbound connection anew (client.Options.Reconnect).
package reconnection

import (
	"time"
	"unsafe"

	"wsrun"
	"wsrun/internal/abi"
)

// Loss is how a connection ended, or could not be made.
type Loss struct {
	wsrun.CloseInfo
	// Attempt counts from 1 since the connection was last open.
	Attempt int
	// After is when the host tries again.
	After time.Duration
}

var (
	handleLost     func(wsrun.Connection, Loss)
	handleRestored func(wsrun.Connection)
)

// HandleLost says who is told that a connection ended, or could not be made, and that the host tries again.
func HandleLost(lost func(wsrun.Connection, Loss)) {
	handleLost = lost
}

// HandleRestored says who is told that it is open again. One that never was open before is told by Opened.
func HandleRestored(restored func(wsrun.Connection)) {
	handleRestored = restored
}

func onLost(connection uint64, code uint32, reason unsafe.Pointer, size uint32, by uint32, clean uint32, attempt uint32, afterMs uint32) {
	if handleLost != nil {
		info := wsrun.CloseInfoFrom(code, reason, size, by, clean)
		handleLost(wsrun.Connection(connection), Loss{info, int(attempt), time.Duration(afterMs) * time.Millisecond})
	}
	abi.GiveBack()
}

func onRestored(connection uint64) {
	if handleRestored != nil {
		handleRestored(wsrun.Connection(connection))
	}
	abi.GiveBack()
}
