#![no_main]
#![allow(dead_code, reason = "each target runs one of the bodies")]

#[path = "../bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: (&[u8], &[u8], &[u8])| bodies::draft(data.0, data.1, data.2));
