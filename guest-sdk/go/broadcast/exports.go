// Generated from wit/ by wsrun-guest-bindgen. Do not edit.

package broadcast

import "unsafe"

//go:wasmexport wsrun:websocket/broadcast-filter@0.1.0#wanted
func exportWanted(p0 uint64, p1 uint32, p2 unsafe.Pointer, p3 uint32) uint32 {
	return onWanted(p0, p1, p2, p3)
}
