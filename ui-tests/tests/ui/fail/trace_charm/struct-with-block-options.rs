use charm_tracing::trace_charm;

#[trace_charm(skip(on_install), extra_types(String))]
struct HelloCharm;

fn main() {}
