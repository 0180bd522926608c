// Generated from wit/ by wsrun-guest-bindgen. Do not edit.

package pong

import "unsafe"

//go:wasmexport wsrun:websocket/pong@0.1.0#pong
func exportPong(p0 uint64, p1 unsafe.Pointer, p2 uint32) {
	onPong(p0, p1, p2)
}
