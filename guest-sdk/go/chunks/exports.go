// Generated from wit/ by wsrun-guest-bindgen. Do not edit.

package chunks

import "unsafe"

//go:wasmexport wsrun:websocket/chunks@0.1.0#received-chunk
func exportReceivedChunk(p0 uint64, p1 uint32, p2 unsafe.Pointer, p3 uint32, p4 uint32, p5 uint32, p6 uint64) {
	onReceivedChunk(p0, p1, p2, p3, p4, p5, p6)
}
