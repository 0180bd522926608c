// Generated from wit/ by wsrun-guest-bindgen. Do not edit.

export { default } from "wsrun:websocket/client@0.1.0";
