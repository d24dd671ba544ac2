use charm_tracing::trace_method;

struct Workload;

#[trace_method]
impl Workload {}

#[trace_method]
struct Struct;

trait Trait {
    #[trace_method]
    fn without_body(&self);
}

impl Workload {
    #[trace_method]
    const ID: u8 = 1;
}

fn main() {}
