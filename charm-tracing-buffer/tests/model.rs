//! Random pushes, peeks, acknowledgements and reopenings against a capped list: the buffer is that
//! list.

#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test says what it did, and panics when it cannot go on; its numbers are small"
)]

mod actions;
mod disk;

use actions::run;
use disk::Chance;

#[test]
fn random_actions_leave_what_they_leave_in_a_capped_list() {
    for seed in 0..300 {
        let mut chance = Chance(seed);
        let script = chance.bytes(600);
        run(&script, &format!("seed {seed}"));
    }
}

#[test]
fn past_findings_stay_found() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/actions");
    let mut replayed = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        let path = entry.unwrap().path();
        run(&std::fs::read(&path).unwrap(), &path.display().to_string());
        replayed += 1;
    }
    assert!(replayed > 0, "{corpus} is empty");
}
