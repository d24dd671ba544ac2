use charm_tracing::trace_charm;

struct HelloCharm {
    tracing_endpoint: Option<String>,
    server_cert: Option<String>,
}

#[trace_charm(buffer_max_events = 99999999999999999999)]
impl HelloCharm {}

fn main() {}
