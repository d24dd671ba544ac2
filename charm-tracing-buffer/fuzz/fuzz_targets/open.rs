//! Any content, opened.

#![no_main]

#[path = "../../tests/disk/mod.rs"]
mod disk;
#[path = "../../tests/opening/mod.rs"]
mod opening;

libfuzzer_sys::fuzz_target!(|script: &[u8]| opening::open_described(script));
