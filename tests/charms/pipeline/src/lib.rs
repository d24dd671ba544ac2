//! The SDK's pipeline as its documentation sets it up: spans in batches, exported by OTLP over HTTP
//! with the default client, to where the environment says.

use std::error::Error;

use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SdkTracerProvider};

/// The provider whose spans go to `OTEL_EXPORTER_OTLP_ENDPOINT`. Shutting it down sends the last.
///
/// # Errors
///
/// Where the exporter cannot be built.
pub fn provider() -> Result<SdkTracerProvider, Box<dyn Error>> {
    let processor = BatchSpanProcessor::builder(exporter()?).build();
    Ok(SdkTracerProvider::builder()
        .with_span_processor(processor)
        .with_resource(Resource::builder().with_service_name("hello").build())
        .build())
}

#[cfg(not(feature = "https"))]
fn exporter() -> Result<SpanExporter, Box<dyn Error>> {
    Ok(SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).build()?)
}

/// The default client knows no authorities but the system's: whoever has one of their own brings
/// the client, with the timeout that the exporter would have given it.
#[cfg(feature = "https")]
fn exporter() -> Result<SpanExporter, Box<dyn Error>> {
    use std::{env, fs, thread};

    use opentelemetry_otlp::{OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT, WithHttpConfig};
    use reqwest::{Certificate, blocking::Client};

    let pem = fs::read(env::var("OTEL_EXPORTER_OTLP_CERTIFICATE")?)?;
    let builder = Client::builder()
        .timeout(OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT)
        .tls_certs_only(Certificate::from_pem_bundle(&pem)?);
    // As the exporter itself does: where there is an async runtime, this client may not be built.
    let built = thread::spawn(move || builder.build()).join();
    let client = built.map_err(|_panic| "the client's builder panicked")??;
    let exporter = SpanExporter::builder().with_http().with_http_client(client);
    Ok(exporter.with_protocol(Protocol::HttpBinary).build()?)
}
