use charm_tracing::trace_charm;

struct HelloCharm {
    tracing_endpoint: Option<String>,
    server_cert: Option<String>,
}

const NAME: u8 = 1;
const EVENTS: &str = "42";

#[trace_charm(service_name = NAME, buffer_max_events = EVENTS)]
impl HelloCharm {}

fn main() {}
