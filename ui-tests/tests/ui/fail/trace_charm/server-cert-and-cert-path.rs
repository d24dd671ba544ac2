use charm_tracing::trace_charm;

struct HelloCharm {
    tracing_endpoint: Option<String>,
    server_cert: Option<String>,
}

#[trace_charm(server_cert = server_cert, cert_path = server_cert)]
impl HelloCharm {}

fn main() {}
