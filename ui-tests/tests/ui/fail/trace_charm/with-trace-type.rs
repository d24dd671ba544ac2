use charm_tracing::trace_charm;

struct HelloCharm {
    tracing_endpoint: Option<String>,
    server_cert: Option<String>,
}

#[trace_charm()]
#[charm_tracing::trace_type]
impl HelloCharm {}

fn main() {}
