// Generated from wit/ by wsrun-guest-bindgen. Do not edit.

package reconnection

import "unsafe"

//go:wasmexport wsrun:websocket/reconnection@0.1.0#lost
func exportLost(p0 uint64, p1 uint32, p2 unsafe.Pointer, p3 uint32, p4 uint32, p5 uint32, p6 uint32, p7 uint32) {
	onLost(p0, p1, p2, p3, p4, p5, p6, p7)
}

//go:wasmexport wsrun:websocket/reconnection@0.1.0#restored
func exportRestored(p0 uint64) {
	onRestored(p0)
}
