use charm_tracing::trace_function;

#[trace_function(skip(a), err = "no", name)]
fn options(a: u8) -> u8 {
    a
}

fn main() {}
