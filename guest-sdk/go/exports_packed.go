// Generated from wit/ by wsrun-guest-bindgen. Do not edit.

package wsrun

import "unsafe"

//go:wasmexport wsrun:websocket/packed@0.1.0#received
func exportPackedReceived(p0 uint64, p1 unsafe.Pointer, p2 uint32, p3 uint32) {
	onPackedReceived(p0, p1, p2, p3)
}
