struct HelloCharm;

impl HelloCharm {
    fn new() -> Self {
        Self
    }
}

fn main() {
    charm_tracing::run(HelloCharm::new, |_, _| {});
}
