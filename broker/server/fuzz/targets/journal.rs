#![no_main]

#[path = "../journal.rs"]
mod journal;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    journal::journal(data);
    journal::journal(&journal::continued([data]));
});
