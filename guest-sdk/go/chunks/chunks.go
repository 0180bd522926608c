// Package chunks takes messages in parts, as they arrive, in place of Received: they may be larger than memory.
package chunks

import (
	"unsafe"

	"wsrun"
	"wsrun/internal/abi"
)

// Chunk is a part of a message.
type Chunk struct {
	Kind wsrun.Kind
	// Data has at most 256 KiB. A part of a text may end inside a character.
	Data []byte
	// First and Last tell whether the message begins and ends here.
	First, Last bool
	// Remaining is how many bytes are still to come in the current frame, before decompression.
	Remaining uint64
}

var handle func(wsrun.Connection, Chunk)

// Handle says who takes them.
func Handle(received func(wsrun.Connection, Chunk)) {
	handle = received
}

func onReceivedChunk(connection uint64, text uint32, data unsafe.Pointer, size uint32, first uint32, last uint32, remaining uint64) {
	if handle != nil {
		kind := wsrun.Binary
		if text != 0 {
			kind = wsrun.Text
		}
		handle(wsrun.Connection(connection), Chunk{kind, abi.BytesAt(data, size), first != 0, last != 0, remaining})
	}
	abi.GiveBack()
}
