// Generated from wit/ by wsrun-guest-bindgen. Do not edit.

export { default } from "wsrun:websocket/timers@0.1.0";
