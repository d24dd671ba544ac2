use charm_tracing::trace_charm;

struct HelloCharm {
    tracing_endpoint: Option<String>,
    server_cert: Option<String>,
}

#[trace_charm(skip(on_instal, everything), crate = ::charm_tracing)]
impl HelloCharm {
    fn on_install(&self) {}
}

fn main() {}
