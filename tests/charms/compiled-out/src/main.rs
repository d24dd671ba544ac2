//! A traced call where tracing is compiled out: prints what it costs, in nanoseconds.

use std::hint::black_box;
use std::io::{self, Write as _};
use std::time::Instant;

use charm_tracing::trace_type;

#[derive(Debug, Default)]
struct Subject {
    state: u64,
}

#[trace_type]
impl Subject {
    #[inline(never)]
    fn method(&mut self, by: u64) -> u64 {
        self.state = black_box(self.state.wrapping_add(by));
        self.state
    }
}

fn main() -> io::Result<()> {
    const CALLS: u32 = 100_000;
    let mut subject = Subject::default();
    let began = Instant::now();
    for by in 0..CALLS {
        black_box(subject.method(u64::from(by)));
    }
    writeln!(io::stdout(), "{}", began.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS))
}
