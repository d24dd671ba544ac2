use charm_tracing::trace_charm;

struct HelloCharm {
    tracing_endpoint: Option<String>,
    server_cert: Option<String>,
}

#[trace_charm(skip(on_install, on_install, 3))]
impl HelloCharm {
    fn on_install(&self) {}
}

fn main() {}
