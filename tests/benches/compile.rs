//! What the attributes cost when a charm is compiled, next to what others' cost.
//!
//! One crate of 300 methods is compiled plain and with each attribute, in interleaved rounds of
//! `cargo build`, dependencies built beforehand. What counts is the time that is added to the plain
//! crate's; of the rounds, the median.

mod report;

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

use report::{Options, Progress, Report, Spread, Table};

const ABOUT: &str = "\
What the attributes cost when a charm is compiled, next to what others' cost.
cargo bench -p charm-tracing-tests --bench compile [-- OPTIONS]";

const TYPES: usize = 30;
const ROUNDS: usize = 5;

/// One way to compile the crate.
struct Variant {
    name: &'static str,
    dependency: &'static str,
    on_block: &'static str,
    on_method: &'static str,
}

const PLAIN: Variant = Variant { name: "plain", dependency: "", on_block: "", on_method: "" };

const VARIANTS: [Variant; 5] = [
    PLAIN,
    Variant {
        name: "charm-tracing",
        dependency: "charm-tracing = { path = \"CHARM_TRACING\" }",
        on_block: "#[charm_tracing::trace_type]",
        on_method: "",
    },
    Variant {
        name: "charm-tracing-extra-types",
        dependency: "charm-tracing = { path = \"CHARM_TRACING\" }",
        on_block: "#[charm_tracing::trace_type(extra_types(Client))]",
        on_method: "",
    },
    Variant {
        name: "tracing",
        dependency: "tracing = { version = \"0.1\", default-features = false, features = [\"attributes\", \"std\"] }",
        on_block: "",
        on_method: "#[tracing::instrument(skip_all)]",
    },
    Variant {
        name: "fastrace",
        dependency: "fastrace = { version = \"0.7\", features = [\"enable\"] }",
        on_block: "",
        on_method: "#[fastrace::trace]",
    },
];

fn main() -> ExitCode {
    report::benchmark(ABOUT, run)
}

fn run(options: Options) -> io::Result<()> {
    // The dependencies stay built from one run to the next.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compile");
    let progress = Progress::new();
    write_workspace(&folder)?;
    for variant in &VARIANTS {
        progress.begin(&format!("building {}", variant.name));
        build(&folder, variant)?;
    }
    let rounds = options.rounds(1, ROUNDS);
    let mut times: Vec<Vec<f64>> = VARIANTS.iter().map(|_| Vec::new()).collect();
    progress.begin("300 methods, compiled anew");
    for round in 0..rounds {
        progress.round(round, rounds);
        for (variant, times) in VARIANTS.iter().zip(&mut times) {
            times.push(build(&folder, variant)?);
        }
    }
    let spreads: Vec<Spread> = times.into_iter().map(Spread::of).collect();
    findings(rounds, &spreads).publish(options, None)
}

fn findings(rounds: usize, times: &[Spread]) -> Report {
    let plain = times.first().map_or(f64::NAN, |plain| plain.median);
    let added = |name: &str| {
        let found = VARIANTS.iter().zip(times).find(|(variant, _)| variant.name == name);
        found.map_or(f64::NAN, |(_, time)| time.median - plain)
    };
    let mut table = Table::new(["300 methods", "s", "added, s"]);
    for (variant, time) in VARIANTS.iter().zip(times) {
        let added = format!("{:.3}", added(variant.name));
        table.row([variant.name.to_owned(), time.with_quartiles(3), added]);
    }
    let mut report = Report::new("compile");
    report.note(&format!("Medians of {rounds} interleaved rounds, with their quartiles."));
    report.table("Time to compile", &table);
    let ours = ["charm-tracing", "charm-tracing-extra-types"];
    let pairs = ours.iter().flat_map(|ours| ["tracing", "fastrace"].map(|peer| (*ours, peer)));
    let ratios: Vec<(String, f64)> =
        pairs.map(|(ours, peer)| (format!("{ours}/{peer}"), added(ours) / added(peer))).collect();
    report.ratios(ratios.iter().map(|(name, ratio)| (name.as_str(), *ratio)));
    report
}

fn write_workspace(folder: &Path) -> io::Result<()> {
    let charm_tracing = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("charm-tracing");
    let names: Vec<String> = VARIANTS.iter().map(|v| format!("{:?}", v.name)).collect();
    fs::create_dir_all(folder)?;
    fs::write(
        folder.join("Cargo.toml"),
        format!("[workspace]\nresolver = \"3\"\nmembers = [{}]\n", names.join(", ")),
    )?;
    for variant in &VARIANTS {
        let dependency =
            variant.dependency.replace("CHARM_TRACING", &charm_tracing.to_string_lossy());
        let manifest = format!(
            "[package]\nname = \"bench-{}\"\nedition = \"2024\"\n\n[dependencies]\n{dependency}\n",
            variant.name
        );
        let package = folder.join(variant.name);
        fs::create_dir_all(package.join("src"))?;
        fs::write(package.join("Cargo.toml"), manifest)?;
        fs::write(package.join("src/lib.rs"), source(variant))?;
    }
    Ok(())
}

/// Compiles one variant anew, and says how many seconds it takes. Its dependencies are there after
/// the first time.
fn build(folder: &Path, variant: &Variant) -> io::Result<f64> {
    fs::write(folder.join(variant.name).join("src/lib.rs"), source(variant))?;
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "-p", &format!("bench-{}", variant.name)]);
    cargo.current_dir(folder).env("CARGO_TARGET_DIR", folder.join("target"));
    cargo.env("CARGO_INCREMENTAL", "0");
    let began = Instant::now();
    let status = cargo.status()?;
    let took = began.elapsed().as_secs_f64();
    if status.success() { Ok(took) } else { Err(io::Error::other(variant.name)) }
}

/// Methods as charms have them: a third can fail, a third return something else, a third nothing.
fn source(variant: &Variant) -> String {
    let Variant { on_block, on_method, .. } = variant;
    let mut source = String::from(HEAD);
    for number in 0..TYPES {
        let _ = write!(
            source,
            "pub struct Workload{number} {{ client: Client, jobs: Vec<String>, count: u32 }}\n\n\
             {on_block}\nimpl Workload{number} {{\n"
        );
        for method in METHODS {
            let _ = writeln!(source, "    {on_method}\n{method}");
        }
        source.push_str("}\n\n");
    }
    source
}

const HEAD: &str = r#"//! A crate that is compiled to see how long it takes.

use std::fmt;

#[derive(Debug)]
pub struct Error(String);

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl From<std::num::ParseIntError> for Error {
    fn from(error: std::num::ParseIntError) -> Self {
        Self(error.to_string())
    }
}

#[derive(Debug, Default)]
pub struct Client {
    calls: u32,
}

impl Client {
    pub fn update(&mut self, name: &str) -> Result<u32, Error> {
        self.calls += 1;
        if name.is_empty() { Err(Error("empty".to_owned())) } else { Ok(self.calls) }
    }

    pub fn get(&self) -> u32 {
        self.calls
    }
}

"#;

const METHODS: [&str; 10] = [
    r#"    pub fn install(&mut self) -> Result<(), Error> {
        let count = self.client.update("install")?;
        self.count += count;
        self.configure("8080")
    }"#,
    r#"    pub fn configure(&mut self, port: &str) -> Result<(), Error> {
        let port: u16 = port.parse()?;
        if port < 1024 {
            return Err(Error(format!("port {port} is privileged")));
        }
        self.jobs.push(port.to_string());
        Ok(())
    }"#,
    r#"    pub fn relation(&mut self, id: u32, app: &str) -> Result<u32, Error> {
        let name = format!("{app}:{id}");
        for job in &self.jobs {
            if *job == name {
                return Ok(self.count);
            }
        }
        self.client.update(&name)
    }"#,
    r"    pub fn start(&mut self) {
        self.count = self.client.get();
        self.jobs.clear();
    }",
    r"    pub fn stop(&mut self, reason: &str) {
        if reason.len() > 3 {
            self.jobs.retain(|job| job != reason);
        }
        self.count = 0;
    }",
    r#"    pub fn log(&self, level: u8) {
        let text = match level {
            0 => "debug".to_owned(),
            1 => "info".to_owned(),
            other => format!("level {other}"),
        };
        drop(text);
    }"#,
    r"    pub fn count(&self) -> usize {
        self.jobs.iter().filter(|job| !job.is_empty()).count() + self.count as usize
    }",
    r"    pub fn first(&self) -> Option<&str> {
        self.jobs.first().map(|job| job.as_str())
    }",
    r"    pub fn render(&self, separator: &str) -> String {
        let mut text = String::new();
        for job in &self.jobs {
            text.push_str(job);
            text.push_str(separator);
        }
        text
    }",
    r"    pub fn is_ready(&self) -> bool {
        self.count > 0 && self.client.get() > 1 && !self.jobs.is_empty()
    }",
];
