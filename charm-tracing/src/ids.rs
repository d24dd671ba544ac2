//! Ids of traces and spans: random, never zero.
//!
//! Each thread draws from a generator of its own (wyrand), seeded from what the standard library
//! seeds its hash maps with, which is the operating system's entropy. Ids need not be secret, only
//! different.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

use opentelemetry::trace::{SpanId, TraceId};

thread_local! {
    static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(0_u64));
}

/// A new trace's id.
pub(crate) fn trace_id() -> TraceId {
    TraceId::from(u128::from(random()) << 64 | u128::from(random()))
}

/// A new span's id.
pub(crate) fn span_id() -> SpanId {
    SpanId::from(random())
}

/// A random number that is not zero, which would be an invalid id.
fn random() -> u64 {
    // A thread that is ending has no generator any more: a seed serves as well.
    let seed = |_| RandomState::new().hash_one(0_u64);
    STATE.try_with(next).unwrap_or_else(seed).max(1)
}

fn next(state: &Cell<u64>) -> u64 {
    let stepped = state.get().wrapping_add(0xa076_1d64_78bd_642f);
    state.set(stepped);
    let product = u128::from(stepped) * u128::from(stepped ^ 0xe703_7ed1_a0b4_28db);
    let (high, low) = (product >> 64, product & u128::from(u64::MAX));
    u64::try_from(high ^ low).unwrap_or(stepped)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::thread;

    use super::span_id;

    #[test]
    fn ids_differ_within_and_between_threads() {
        const EACH: usize = 100_000;
        let draw = || (0..EACH).map(|_| span_id()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| thread::spawn(draw)).collect();
        let ids: HashSet<_> =
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(ids.len(), 4 * EACH);
    }
}
