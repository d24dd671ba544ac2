//! Every option, in every form it can have.

use std::path::PathBuf;
use std::time::Duration;

use charm_tracing::{trace_charm, trace_method, trace_type, Charm, Options};

const SIZE: u64 = 12;

struct Certificates(PathBuf);

struct HelloCharm<T> {
    tracing_endpoint: Option<String>,
    server_cert: Certificates,
    name: T,
}

#[trace_charm(
    tracing_endpoint = "endpoint",
    cert_path = self.server_cert.0,
    service_name = self.name.as_ref().to_owned(),
    buffer_max_events = 0,
    buffer_max_size_mib = SIZE,
    buffer_path = concat!("/tmp/", "buffer"),
    export_timeout = Duration::from_secs(2),
    extra_types(PathBuf, Vec<T>),
    skip(endpoint),
    crate = charm_tracing,
)]
impl<T: AsRef<str>> HelloCharm<T> {
    fn endpoint(&self) -> Option<&str> {
        self.tracing_endpoint.as_deref()
    }
}

/// Configured on its `struct`, traced where its methods are.
#[trace_charm(tracing_endpoint = tracing_endpoint, server_cert = "server_cert")]
struct Other<'a, const N: usize> {
    tracing_endpoint: &'a str,
    server_cert: PathBuf,
    numbers: [u8; N],
}

#[trace_type(name = "Else", skip(skipped),)]
impl<const N: usize> Other<'_, N> {
    #[trace_method(name = "x", fields(a.b.c = 1, "d e" = "f", type = true, n = N), err = true)]
    fn method(&self) -> usize {
        self.numbers.len()
    }

    fn skipped(&self) {}
}

fn main() {
    let charm = HelloCharm {
        tracing_endpoint: Some("http://tempo:4318".to_owned()),
        server_cert: Certificates("ca.pem".into()),
        name: "hello",
    };
    let expected = Options::new("HelloCharm")
        .buffer_max_events(0)
        .buffer_max_size_mib(12)
        .buffer_path("/tmp/buffer")
        .export_timeout(Duration::from_secs(2));
    assert_eq!(HelloCharm::<&str>::tracing_options(), expected);
    let completed = expected
        .tracing_endpoint("http://tempo:4318")
        .server_cert(&PathBuf::from("ca.pem"))
        .service_name("hello");
    let other = Other { tracing_endpoint: "", server_cert: PathBuf::new(), numbers: [1] };
    assert_eq!(other.method(), 1);
    other.skipped();
    assert_eq!(charm.complete_tracing_options(HelloCharm::<&str>::tracing_options()), completed);
}
