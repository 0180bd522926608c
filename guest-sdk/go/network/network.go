// Package network decides by address who may connect. Only the default handler of a server is asked.
package network

import (
	"unsafe"

	"wsrun/internal/abi"
)

var handle func(peer, local string) bool

// Handle says who decides, before anything is read: false ends the transport. peer is `ip:port`, or `unix`.
func Handle(accepts func(peer, local string) bool) {
	handle = accepts
}

func onAccepts(peer unsafe.Pointer, peerSize uint32, local unsafe.Pointer, localSize uint32) uint32 {
	defer abi.GiveBack()
	if handle == nil || handle(abi.TextAt(peer, peerSize), abi.TextAt(local, localSize)) {
		return 1
	}
	return 0
}
