use charm_tracing::trace_charm;

struct HelloCharm {
    tracing_endpoint: Option<String>,
    server_cert: Option<String>,
}

#[trace_charm(tracing_endpoint = port, server_cert = self.port())]
impl HelloCharm {
    fn port(&self) -> u16 {
        4318
    }
}

fn main() {}
