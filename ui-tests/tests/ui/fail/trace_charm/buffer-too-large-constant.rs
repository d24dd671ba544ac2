use charm_tracing::trace_charm;

struct HelloCharm {
    tracing_endpoint: Option<String>,
    server_cert: Option<String>,
}

const SIZE: u64 = 4096;

#[trace_charm(buffer_max_size_mib = SIZE)]
impl HelloCharm {}

fn main() {}
