use charm_tracing::trace_charm;

#[trace_charm(tracing_endpoint = tracing_endpont, server_cert = certificates)]
struct HelloCharm {
    tracing_endpoint: Option<String>,
}

#[trace_charm(tracing_endpoint = tracing_endpoint)]
struct NoFields;

fn main() {}
