use charm_tracing::trace_charm;

struct HelloCharm {
    tracing_endpoint: Option<String>,
    server_cert: Option<String>,
}

#[trace_charm(servce_name = "hello", colour = "red", name = "hello")]
impl HelloCharm {}

fn main() {}
