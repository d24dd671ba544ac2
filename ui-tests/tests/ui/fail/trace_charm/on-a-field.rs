use charm_tracing::trace_charm;

struct HelloCharm {
    #[trace_charm]
    tracing_endpoint: Option<String>,
}

fn main() {}
