use charm_tracing::trace_charm;

struct HelloCharm {
    tracing_endpoint: Option<String>,
    server_cert: Option<String>,
}

#[trace_charm(service_name = 3, buffer_max_events = "42", buffer_path = true, buffer_max_size_mib = 10.5, export_timeout = 2)]
impl HelloCharm {}

fn main() {}
