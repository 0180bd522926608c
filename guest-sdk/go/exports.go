// Generated from wit/ by wsrun-guest-bindgen. Do not edit.

package wsrun

import "unsafe"

//go:wasmexport wsrun:websocket/handler@0.1.0#opened
func exportOpened(p0 uint64) {
	onOpened(p0)
}

//go:wasmexport wsrun:websocket/handler@0.1.0#received
func exportReceived(p0 uint64, p1 uint32, p2 unsafe.Pointer, p3 uint32) {
	onReceived(p0, p1, p2, p3)
}

//go:wasmexport wsrun:websocket/handler@0.1.0#closed
func exportClosed(p0 uint64, p1 uint32, p2 unsafe.Pointer, p3 uint32, p4 uint32, p5 uint32) {
	onClosed(p0, p1, p2, p3, p4, p5)
}
