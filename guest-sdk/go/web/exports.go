// Generated from wit/ by wsrun-guest-bindgen. Do not edit.

package web

import "unsafe"

//go:wasmexport wsrun:websocket/http@0.1.0#requested
func exportRequested(p0 unsafe.Pointer) unsafe.Pointer {
	return onRequested(p0)
}
