//! The charm as it is before anybody traces it.

use std::io;
use std::process::ExitCode;

#[derive(Debug)]
struct Charm {
    result: u64,
}

impl Charm {
    fn new() -> Self {
        Self { result: 0 }
    }

    fn render(&mut self, number: u64) {
        self.result ^= work::render(number);
    }
}

fn handle(charm: &mut Charm) -> io::Result<()> {
    for number in 0..work::calls() {
        charm.render(number);
    }
    work::finish(charm.result)
}

fn main() -> ExitCode {
    match handle(&mut Charm::new()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
