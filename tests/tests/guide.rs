//! The documents are true: what they name is there. Their Rust is compiled and run as doctests, see
//! `tests/src/lib.rs`; the queries and the log's lines have files of their own.

#![expect(clippy::unwrap_used, reason = "what a test cannot go on without")]

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use charm_tracing_tests::document::{Document, repository};
use charm_tracing_tests::{CharmDir, Palette, Receiver, Tree};
use regex::Regex;
use yaml_rust2::{Yaml, YamlLoader};

const GUIDE: &str = "docs/guide.md";
const DOCUMENTS: [&str; 6] = [
    "README.md",
    GUIDE,
    "docs/from-python.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "charm-tracing/README.md",
];

/// `<!-- Shown by file: test, test -->`: a claim names the tests that show it.
#[test]
fn the_tests_that_show_what_is_claimed_exist() {
    let comment = Regex::new("<!-- Shown by ([a-z/_-]+): ([a-z0-9_, ]+) -->").unwrap();
    for document in [GUIDE, "docs/from-python.md"].map(Document::read) {
        let marks = document.text.matches("<!-- Shown by").count();
        assert_eq!(comment.captures_iter(&document.text).count(), marks, "{:?}", document.path);
        for found in comment.captures_iter(&document.text) {
            let [file, tests] = found.extract().1;
            let (folder, name) = file.split_once('/').unwrap_or(("tests", file));
            let path = repository().join(folder).join("tests").join(format!("{name}.rs"));
            let source = fs::read_to_string(&path).unwrap_or_else(|_| panic!("no {path:?}"));
            for test in tests.split(", ") {
                assert!(source.contains(&format!("fn {test}(")), "no test {test} in {path:?}");
            }
        }
    }
}

/// By nothing but what the guide begins with.
#[test]
fn the_first_charm_is_traced_as_it_says() {
    let guide = Document::read(GUIDE);
    let compiled = include_str!("../src/bin/first-charm.rs");
    assert!(compiled.ends_with(&format!("\n\n{}", guide.blocks("rust")[0])));
    let charm = env!("CARGO_BIN_EXE_first-charm");
    let (charm, receiver) =
        (CharmDir::new(charm, env!("CARGO_BIN_EXE_hook-tool")), Receiver::start());
    let install = charm.dispatch("hooks/install");
    let install = install.variable("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint()).run();
    assert_eq!((install.code, install.stderr.as_str()), (Some(0), ""));
    assert_eq!(fs::read_to_string(charm.path().join("greeting")).unwrap(), "hello");
    let drawn = Tree::new(&receiver.trace(), Palette::Plain).to_string();
    let times = Regex::new(" +[0-9.]+ (?:µs|ms|s)  .*").unwrap();
    let names = times.replace_all(&drawn, "");
    assert_eq!(names, guide.blocks("text")[0]);
}

/// The variables of the command that the guide names, but for the port.
#[test]
fn a_charm_is_traced_when_it_is_started_by_hand() {
    let commands = Document::read(GUIDE).blocks("sh").concat();
    let command = commands.lines().find(|line| line.ends_with(" target/debug/hello")).unwrap();
    let receiver = Receiver::start();
    let command = command.replace("http://localhost:4318", &receiver.endpoint());
    let folder = tempfile::tempdir().unwrap();
    let mut charm = Command::new(env!("CARGO_BIN_EXE_first-charm"));
    let variables = command.split(' ').filter_map(|word| word.split_once('='));
    charm.env_clear().envs(variables).current_dir(folder.path());
    let output = charm.output().unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 0));
    let trace = receiver.trace();
    assert_eq!(trace.root().name, "install event");
    assert!(trace.has("method call: HelloCharm::write_greeting"));
    assert_eq!(trace.resource["service.name"], "HelloCharm");
}

#[test]
fn links_lead_somewhere() {
    let link = Regex::new(r"\]\(([^) ]+)\)").unwrap();
    for document in DOCUMENTS.map(Document::read) {
        for found in link.captures_iter(&document.text) {
            let target = &found[1];
            if target.starts_with("https://") {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = match file {
                "" => document.path.clone(),
                file => document.path.parent().unwrap().join(file),
            };
            assert!(path.exists(), "{target} in {:?}", document.path);
            if !heading.is_empty() {
                let text = fs::read_to_string(&path).unwrap();
                assert!(text.lines().any(|line| anchor(line) == heading), "{target}");
            }
        }
    }
}

/// What GitHub calls a heading in links.
fn anchor(line: &str) -> String {
    let heading = line.trim_start_matches('#').trim().to_lowercase();
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// What the guide adds to `charmcraft.yaml` is what the sample charm has in its own.
#[test]
fn yaml_is_the_sample_charms() {
    let sample = Document::read("charm-tracing/examples/hello-charm/charmcraft.yaml");
    let sample = YamlLoader::load_from_str(&sample.text).unwrap();
    let blocks = Document::read(GUIDE).blocks("yaml");
    assert_eq!(blocks.len(), 4);
    for block in blocks {
        let block = YamlLoader::load_from_str(&block).unwrap();
        assert!(is_part(&block[0], &sample[0]), "{block:#?}");
    }
}

fn is_part(part: &Yaml, whole: &Yaml) -> bool {
    match (part, whole) {
        (Yaml::Hash(part), Yaml::Hash(whole)) => part
            .iter()
            .all(|(key, value)| whole.get(key).is_some_and(|there| is_part(value, there))),
        (part, whole) => part == whole,
    }
}

#[test]
fn features_and_versions_are_the_crates() {
    let manifest = Document::read("charm-tracing/Cargo.toml").text;
    let section = manifest.split("[features]").nth(1).unwrap().split("\n[").next().unwrap();
    let feature = Regex::new("(?m)^([a-z]+) = ").unwrap();
    let mut features: BTreeSet<&str> =
        feature.captures_iter(section).map(|found| found.extract::<1>().1[0]).collect();
    features.remove("default");
    for document in [GUIDE, "charm-tracing/README.md"].map(Document::read) {
        let listed = document.column("feature");
        let listed: Vec<&str> = listed.iter().map(|cell| word(cell)).collect();
        assert_eq!(listed.iter().copied().collect::<BTreeSet<_>>(), features);
    }
    // The versions that everything here is compiled with.
    let workspace = Document::read("Cargo.toml").text;
    let dependency = Regex::new(r#"(?m)^([a-z-]+) = (?:\{ version = )?"([0-9.]+)""#).unwrap();
    for document in [GUIDE, "README.md"].map(Document::read) {
        let toml = document.blocks("toml").concat();
        assert!(dependency.is_match(&toml), "{:?}", document.path);
        for found in dependency.captures_iter(&toml) {
            let [name, version] = found.extract().1;
            let wanted = format!("\n{name} = {{ version = \"{version}");
            assert!(workspace.contains(&wanted), "{name} {version}");
        }
    }
}

/// The first word of a cell, without what marks it as code.
fn word(cell: &str) -> &str {
    cell.trim_start_matches('`').split(['`', ' ', '(']).next().unwrap()
}

#[test]
fn the_options_are_the_attributes() {
    let source = Document::read("charm-tracing-macros/src/args.rs").text;
    let options = source.split("Self::Charm => &[").nth(1).unwrap().split(']').next().unwrap();
    let options: BTreeSet<&str> = options.split('"').skip(1).step_by(2).collect();
    for path in [GUIDE, "README.md", "charm-tracing/README.md", "docs/from-python.md"] {
        let document = Document::read(path);
        for option in document.column("option") {
            assert!(options.contains(word(&option)), "{path}: {option}");
        }
    }
    let guide = Document::read(GUIDE).column("option").join(" ");
    for option in options.iter().filter(|option| **option != "crate") {
        assert!(guide.contains(option), "{option} is not in the guide");
    }
}

/// Shell commands: the examples are there, and what is related is what the sample charm has.
#[test]
fn commands_name_what_there_is() {
    let sample = Document::read("charm-tracing/examples/hello-charm/charmcraft.yaml").text;
    let mut commands = 0;
    for document in [GUIDE, "README.md", "docs/from-python.md"].map(Document::read) {
        for command in document.blocks("sh").concat().lines() {
            let words: Vec<&str> = command.split(' ').collect();
            match words[..] {
                ["cargo", "run" | "test", "--example", example] => {
                    let example = format!("charm-tracing/examples/{example}.rs");
                    assert!(repository().join(&example).exists(), "{command}");
                }
                ["cargo", "test", "--workspace"]
                | ["jhack", "tail", "-t"]
                | ["juju", "debug-log" | "model-config", ..]
                | ["docker", "run", ..] => {}
                [variable, _, "target/debug/hello"] if variable.contains('=') => {}
                ["juju", "integrate", one, other] => {
                    let is_ours = |end: &&str| end.starts_with("hello:");
                    for end in [one, other].iter().filter(|end| is_ours(end)) {
                        let relation = end.trim_start_matches("hello:");
                        assert!(sample.contains(&format!("\n  {relation}:\n")), "{command}");
                    }
                }
                _ => panic!("nobody knows whether `{command}` works"),
            }
            commands += 1;
        }
    }
    assert!(commands > 8);
}

/// Whatever is code in the guide is held against the truth somewhere.
#[test]
fn no_block_is_of_a_language_that_nobody_looks_at() {
    let fence = Regex::new("(?m)^```([a-z]+.*)$").unwrap();
    for path in [GUIDE, "README.md", "docs/from-python.md"] {
        let document = Document::read(path);
        for found in fence.captures_iter(&document.text) {
            let language = found.extract::<1>().1[0];
            let known = ["rust", "toml", "yaml", "sh", "text", "traceql"];
            assert!(known.contains(&language), "{path}: {language}");
        }
    }
}
