use charm_tracing::{trace_charm, trace_method};

struct HelloCharm {
    tracing_endpoint: Option<String>,
    server_cert: Option<String>,
}

#[trace_charm(servce_name = "hello", buffer_max_events = -1, tracing_endpoint = 3, extra_types(u8, u16))]
impl HelloCharm {
    #[trace_method(nme = "x")]
    const fn id(&self) -> u8 {
        1
    }
}

fn uses_the_charm(charm: &HelloCharm) -> impl charm_tracing::Charm + use<'_> {
    let _ = charm.id();
    HelloCharm { tracing_endpoint: None, server_cert: None }
}

fn main() {}
