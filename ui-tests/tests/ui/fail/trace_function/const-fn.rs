use charm_tracing::trace_function;

#[trace_function]
const fn id() -> u8 {
    1
}

fn main() {}
