//! The charm that the tests of the Juju side run: it says on stdout what it sees, and has one event
//! per thing that a charm does with Juju.

#![expect(clippy::print_stdout, reason = "the tests read it")]

use std::env;
use std::error::Error;
use std::fs::{self, OpenOptions};
use std::mem;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use charm_tracing::juju::{
    CaBundle, CertificateTransferRequirer, Event, Protocol, TracingEndpointRequirer,
    charm_tracing_config, hook_tool,
};
use charm_tracing::{ServerCertificate, process, trace_charm, trace_function};

struct JujuCharm {
    tracing_endpoint: Option<String>,
    server_cert: Option<ServerCertificate>,
}

#[trace_charm(tracing_endpoint = tracing_endpoint, server_cert = server_cert)]
impl JujuCharm {
    fn new() -> Self {
        let (tracing_endpoint, server_cert) = relations();
        Self { tracing_endpoint, server_cert }
    }

    fn on_event(&mut self, event: &Event) -> Result<(), Box<dyn Error>> {
        if event.is_deferred() {
            println!("again: {}", event.name());
            return Ok(());
        }
        match event.name() {
            "tools" => on_tools(),
            "processes" => on_processes(),
            "secrets" => on_secrets("argument-hunter2".to_owned()),
            "custom" => on_custom(),
            "defers" => on_defers(event),
            "handles-again" => self.on_handles_again(),
            "opens-the-gate" => on_opens_the_gate(),
            _ => Ok(()),
        }
    }

    fn on_handles_again(&mut self) -> Result<(), Box<dyn Error>> {
        for token in fs::read_to_string("deferred")?.lines() {
            Event::deferred(token).emit(|event| self.on_event(event))?;
        }
        Ok(())
    }
}

/// Asks the relations that the test names, and says what they answer.
fn relations() -> (Option<String>, Option<ServerCertificate>) {
    let requirer = match env::var("TEST_TRACING_RELATION") {
        Ok(relation) => TracingEndpointRequirer::new(relation, [Protocol::OtlpHttp]),
        Err(_) if env::var_os("TEST_TRACING_DEFAULT").is_some() => {
            TracingEndpointRequirer::default()
        }
        Err(_) => return (None, None),
    };
    match requirer.receivers() {
        Ok(receivers) => {
            let named = receivers.iter().map(|r| format!("{}={}", r.protocol, r.url));
            println!("receivers: {}", named.collect::<Vec<_>>().join(" "));
        }
        Err(why) => println!("not ready: {why}"),
    }
    println!("ready: {}", requirer.is_ready());
    println!("endpoint: {}", requirer.endpoint(Protocol::OtlpHttp).unwrap_or("none"));
    println!("change: {:?}", requirer.change());
    configured(&requirer)
}

/// The options, with the authorities that the test names: a relation, or a file.
fn configured(requirer: &TracingEndpointRequirer) -> (Option<String>, Option<ServerCertificate>) {
    let (endpoint, certificate) = if let Ok(relation) = env::var("TEST_CA_RELATION") {
        let authorities = CertificateTransferRequirer::new(relation);
        println!("authorities change: {:?}", authorities.change());
        let (endpoint, bundle) = charm_tracing_config(requirer, Some(&authorities));
        (endpoint, bundle.map(|bundle: CaBundle| ServerCertificate::Pem(bundle.to_pem())))
    } else {
        let (endpoint, path) = charm_tracing_config(requirer, env::var("TEST_CA_PATH").ok());
        (endpoint, path.map(|path: PathBuf| ServerCertificate::File(path)))
    };
    println!("configured: {endpoint:?}, certificate: {}", certificate.is_some());
    (endpoint, certificate)
}

fn on_tools() -> Result<(), Box<dyn Error>> {
    let config = hook_tool("config-get").arg("--format=json").run()?;
    println!("config: {}", config.trim());
    let denied = hook_tool("relation-get").args(["-r", "db:1", "-", "hello", "--app"]).run();
    if let Err(error) = denied {
        println!("{error}; {:?}; {}", error.exit_code(), error.is_permission_denied());
    }
    let missing = hook_tool("no-such-tool").run();
    println!("missing: {}", missing.is_err());
    Ok(())
}

fn on_processes() -> Result<(), Box<dyn Error>> {
    let environment = "echo $TRACEPARENT,$TRACESTATE";
    let output = process::output(Command::new("/bin/sh").args(["-c", environment]))?;
    println!("child: {}", String::from_utf8(output.stdout)?.trim());
    println!("status: {}", process::status(Command::new("sh").args(["-c", "exit 7"]))?);
    let mut cat = Command::new("cat");
    let mut child = process::spawn(cat.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
    drop(child.stdin.take());
    println!("spawned: {}", child.wait()?);
    println!("missing: {}", process::spawn(&mut Command::new("no-such-program")).is_err());
    Ok(())
}

/// Puts secrets through everything that a charm puts secrets through.
#[trace_function]
fn on_secrets(argument: String) -> Result<(), Box<dyn Error>> {
    let file = argument.len().to_string();
    // What succeeds.
    hook_tool("relation-set").args(["-r", "db:1", "password=relation-hunter2"]).run()?;
    let databag = r#"{"token": "stdin-hunter2"}"#;
    hook_tool("relation-set").args(["-r", "db:1", "--file", "-"]).stdin(databag).run()?;
    let id =
        hook_tool("secret-add").args(["password=secret-hunter2", &format!("n={file}")]).run()?;
    hook_tool("secret-set").args([id.trim(), "password=changed-hunter2"]).run()?;
    let secret = hook_tool("secret-get").args([id.trim(), "--format=json"]).run()?;
    println!("secret: {}", secret.contains("changed-hunter2"));
    hook_tool("action-set").arg("result=action-hunter2").run()?;
    hook_tool("state-set").arg("kept=state-hunter2").run()?;
    process::status(Command::new("true").args(["--password", "process-hunter2"]))?;
    // What fails, and says what it was given.
    for (tool, arguments) in [
        ("relation-set", ["-r", "db:1", "bare-relation-hunter2"]),
        ("secret-add", ["--label", "db", "Bad-Key=bad-secret-hunter2"]),
        ("secret-get", ["secret:unknown-hunter2", "--format", "json"]),
        ("action-set", ["--", "bare-action-hunter2", "x=1"]),
        ("state-set", ["--file", "/no/such/path-hunter2", "x=1"]),
    ] {
        let _ = failing(tool, &arguments);
    }
    let _ = hook_tool("state-set").args(["--file", "-"]).stdin("hunter2-in-bad-yaml").run();
    failing("state-set", &["last-state-hunter2", "", ""])?;
    Ok(())
}

/// Its error is recorded on its own span too.
#[trace_function]
fn failing(tool: &str, arguments: &[&str]) -> Result<(), Box<dyn Error>> {
    hook_tool(tool).args(arguments).run()?;
    Ok(())
}

fn on_custom() -> Result<(), Box<dyn Error>> {
    charm_tracing::event("database-ready", || hook_tool("is-leader").run())?;
    let event = Event::custom("endpoints-changed").attribute("endpoints", 3);
    let token = event.emit(Event::defer);
    fs::write("deferred", token)?;
    Ok(())
}

fn on_defers(event: &Event) -> Result<(), Box<dyn Error>> {
    fs::write("deferred", event.defer())?;
    Ok(())
}

/// Lets `juju-log` go on, which this could not do if the charm were waiting for it.
fn on_opens_the_gate() -> Result<(), Box<dyn Error>> {
    let gate = env::var("FAKE_JUJU_LOG_GATE")?;
    // Held open for the rest of this process, so that no later line waits either.
    mem::forget(OpenOptions::new().read(true).write(true).open(gate)?);
    println!("the handler runs");
    Ok(())
}

fn main() -> ExitCode {
    charm_tracing::run(JujuCharm::new, JujuCharm::on_event)
}
