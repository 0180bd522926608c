#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wsrun_proto_fuzz::connection::run_client(
    std::time::Instant::now(),
    data
));
