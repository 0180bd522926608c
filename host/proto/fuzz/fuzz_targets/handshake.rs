#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wsrun_proto_fuzz::handshake::run(
    std::time::Instant::now(),
    data
));
