// Generated from wit/ by wsrun-guest-bindgen. Do not edit.

package timers

//go:wasmexport wsrun:websocket/timer-handler@0.1.0#fired
func exportFired(p0 uint64, p1 uint64, p2 uint32, p3 uint64) {
	onFired(p0, p1, p2, p3)
}
