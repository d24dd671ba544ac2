use charm_tracing::trace_charm;

struct HelloCharm {
    tracing_endpoint: Option<String>,
    server_cert: Option<String>,
}

#[trace_charm(service_name = "", buffer_path = " ")]
impl HelloCharm {}

fn main() {}
