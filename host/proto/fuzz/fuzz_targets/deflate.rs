#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wsrun_proto_fuzz::deflate::run(
    std::time::Instant::now(),
    data
));
