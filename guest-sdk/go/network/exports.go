// Generated from wit/ by wsrun-guest-bindgen. Do not edit.

package network

import "unsafe"

//go:wasmexport wsrun:websocket/network-filter@0.1.0#accepts
func exportAccepts(p0 unsafe.Pointer, p1 uint32, p2 unsafe.Pointer, p3 uint32) uint32 {
	return onAccepts(p0, p1, p2, p3)
}
