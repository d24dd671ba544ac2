//! Any sequence of the model's actions.

#![no_main]

#[path = "../../tests/actions/mod.rs"]
mod actions;
#[path = "../../tests/disk/mod.rs"]
mod disk;

libfuzzer_sys::fuzz_target!(|script: &[u8]| actions::run(script, "fuzz"));
