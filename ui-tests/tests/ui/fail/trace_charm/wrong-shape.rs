use charm_tracing::trace_charm;

struct HelloCharm {
    tracing_endpoint: Option<String>,
    server_cert: Option<String>,
}

#[trace_charm(service_name("hello"), extra_types = Vec<u8>, skip, buffer_path)]
impl HelloCharm {}

fn main() {}
