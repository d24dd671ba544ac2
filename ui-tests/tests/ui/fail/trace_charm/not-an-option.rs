use charm_tracing::trace_charm;

struct HelloCharm {
    tracing_endpoint: Option<String>,
    server_cert: Option<String>,
}

#[trace_charm(= 3, "text", service_name "hello")]
impl HelloCharm {}

fn main() {}
