//! A charm that says hello, and is traced while it does.
//!
//! Juju runs this program once per event (`charmcraft.yaml` makes it the charm's `dispatch`). What
//! tracing needs of it is the attribute on the `impl` block and the two relations in `new`.

use std::env;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::process::ExitCode;

use charm_tracing::juju::{
    CaBundle, CertificateTransferRequirer, Event, HookToolError, Protocol, TracingEndpointRequirer,
    charm_tracing_config, hook_tool,
};
use charm_tracing::{current_span, trace_charm, trace_function, trace_type};

struct HelloCharm {
    tracing_endpoint: Option<String>,
    server_cert: Option<CaBundle>,
}

#[trace_charm(
    tracing_endpoint = tracing_endpoint,
    server_cert = server_cert,
    buffer_path = buffer_path(),
)]
impl HelloCharm {
    fn new() -> Self {
        let tracing = TracingEndpointRequirer::new("tracing", [Protocol::OtlpHttp]);
        let authorities = CertificateTransferRequirer::new("receive-ca-cert");
        let (tracing_endpoint, server_cert) = charm_tracing_config(&tracing, Some(&authorities));
        Self { tracing_endpoint, server_cert }
    }

    fn on_event(&mut self, event: &Event) -> Result<(), Error> {
        match event.name() {
            "install" => set_status("maintenance", "unpacking the greeting"),
            "leader-elected" => self.on_leader_elected(),
            "config-changed" => self.on_config_changed(event),
            "start" => self.on_start(),
            "greet" => self.on_greet_action(),
            _ => Ok(()),
        }
    }

    /// The application's password: a secret of Juju's, which no trace ever sees.
    fn on_leader_elected(&mut self) -> Result<(), Error> {
        let password = format!("password={}", new_password()?);
        hook_tool("secret-add").args(["--label", "greeter", &password]).run()?;
        Ok(())
    }

    /// Juju sets the configuration before it starts the charm: then it has to wait.
    fn on_config_changed(&mut self, event: &Event) -> Result<(), Error> {
        if kept("started")?.is_empty() {
            return keep("deferred", &event.defer());
        }
        let greeting = config("greeting")?;
        Event::custom("greeting-changed").emit(|_| set_status("active", &greeting))
    }

    fn on_start(&mut self) -> Result<(), Error> {
        keep("started", "yes")?;
        let deferred = kept("deferred")?;
        if deferred.is_empty() {
            return Ok(());
        }
        keep("deferred", "")?;
        Event::deferred(&deferred).emit(|event| self.on_event(event))
    }

    fn on_greet_action(&mut self) -> Result<(), Error> {
        let name = hook_tool("action-get").arg("name").run()?;
        let greeter = Greeter { greeting: config("greeting")? };
        let greeting = greeter.greet(name.trim())?;
        if let Some(span) = current_span() {
            span.set_attribute("greeting.bytes", i64::try_from(greeting.len()).unwrap_or(i64::MAX));
        }
        hook_tool("action-set").arg(format!("greeting={greeting}")).run()?;
        Ok(())
    }
}

/// What the charm is about.
struct Greeter {
    greeting: String,
}

#[trace_type]
impl Greeter {
    fn greet(&self, name: &str) -> Result<String, Error> {
        if name.is_empty() {
            return Err(Error::NobodyToGreet);
        }
        Ok(format!("{}, {name}!", self.greeting))
    }
}

/// Where the storage `charm-traces` is.
fn buffer_path() -> PathBuf {
    // Tests have no such place.
    let folder = env::var_os("HELLO_CHARM_TRACES").unwrap_or_else(|| "/charm-traces".into());
    PathBuf::from(folder).join("buffer")
}

#[trace_function]
fn set_status(status: &str, message: &str) -> Result<(), Error> {
    hook_tool("status-set").args([status, message]).run()?;
    Ok(())
}

#[trace_function]
fn config(key: &str) -> Result<String, Error> {
    Ok(hook_tool("config-get").arg(key).run()?.trim().to_owned())
}

/// What an earlier execution kept under `key`; empty where it kept nothing.
#[trace_function]
fn kept(key: &str) -> Result<String, Error> {
    Ok(hook_tool("state-get").arg(key).run()?.trim().to_owned())
}

#[trace_function]
fn keep(key: &str, value: &str) -> Result<(), Error> {
    hook_tool("state-set").arg(format!("{key}={value}")).run()?;
    Ok(())
}

#[trace_function]
fn new_password() -> Result<String, Error> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

#[derive(Debug)]
enum Error {
    HookTool(HookToolError),
    Io(io::Error),
    NobodyToGreet,
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HookTool(error) => error.fmt(formatter),
            Self::Io(error) => error.fmt(formatter),
            Self::NobodyToGreet => formatter.write_str("there is nobody to greet"),
        }
    }
}

impl From<HookToolError> for Error {
    fn from(error: HookToolError) -> Self {
        Self::HookTool(error)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

pub(crate) fn main() -> ExitCode {
    charm_tracing::run(HelloCharm::new, HelloCharm::on_event)
}
