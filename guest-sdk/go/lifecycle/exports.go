// Generated from wit/ by wsrun-guest-bindgen. Do not edit.

package lifecycle

import "unsafe"

//go:wasmexport wsrun:websocket/lifecycle@0.1.0#started
func exportStarted() {
	onStarted()
}

//go:wasmexport wsrun:websocket/lifecycle@0.1.0#resumed
func exportResumed(p0 uint64) {
	onResumed(p0)
}

//go:wasmexport wsrun:websocket/lifecycle@0.1.0#save
func exportSave() unsafe.Pointer {
	return onSave()
}

//go:wasmexport wsrun:websocket/lifecycle@0.1.0#restore
func exportRestore(p0 unsafe.Pointer, p1 uint32) unsafe.Pointer {
	return onRestore(p0, p1)
}

//go:wasmexport wsrun:websocket/lifecycle@0.1.0#draining
func exportDraining(p0 uint32) {
	onDraining(p0)
}
