// Generated from wit/ by wsrun-guest-bindgen. Do not edit.

package writable

//go:wasmexport wsrun:websocket/writable@0.1.0#writable
func exportWritable(p0 uint64) {
	onWritable(p0)
}
