use charm_tracing::trace_method;

#[trace_method]
fn tidy(number: u8) -> u8 {
    number
}

fn main() {}
