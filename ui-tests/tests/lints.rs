//! An expansion raises no lint, and silences none of its author's: crates that are checked by
//! clippy plain and traced, and what is said about them compared line by line. And the corpus in
//! the edition that this crate is not of.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Mutex;

const PLAIN: [&str; 2] = ["", ""];
const TRACED: [&str; 2] = ["#[charm_tracing::trace_charm]", "#[charm_tracing::trace_function]"];
const EXTRA_TYPES: [&str; 2] =
    ["#[charm_tracing::trace_charm(extra_types(Client))]", "#[charm_tracing::trace_function]"];

/// One build at a time: they share a target directory.
static BUILDING: Mutex<()> = Mutex::new(());

/// Runs cargo in a crate of its own.
fn cargo(arguments: &[&str], name: &str, edition: &str, source: &str) -> Output {
    let _building = BUILDING.lock();
    let crates = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = crates.join(name);
    fs::create_dir_all(folder.join("src")).unwrap();
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let manifest = format!(
        "[package]\nname = \"{name}\"\nedition = \"{edition}\"\n\n[workspace]\n\n[dependencies]\n\
         charm-tracing = {{ path = {:?} }}\nasync-trait = \"0.1\"\nanyhow = \"1\"\n",
        workspace.join("charm-tracing")
    );
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    fs::copy(workspace.join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    fs::write(folder.join("src/lib.rs"), source).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(arguments).args(["--offline", "--quiet"]).current_dir(&folder);
    cargo.env("CARGO_TARGET_DIR", crates.join("target")).env_remove("RUSTFLAGS");
    cargo.output().unwrap()
}

/// What clippy says about a crate: `place: level: message`, a line each.
fn said_about(name: &str, edition: &str, source: &str) -> BTreeSet<String> {
    let output = cargo(&["clippy", "--message-format=short"], name, edition, source);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{name} does not compile:\n{said}");
    let lines = said.lines().filter(|line| line.contains(".rs:"));
    // What is suggested depends on what else is in the expression.
    let lines = lines.map(|line| line.split(": help:").next().unwrap_or(line));
    lines.filter(|line| !line.contains("warning: value assigned to")).map(unused).collect()
}

/// A variable that is set to a block's value is "assigned to, but never used" (and so is the value)
/// where one that is set to a call's is just unused.
fn unused(line: &str) -> String {
    match line.split_once("variable `").filter(|_| line.ends_with("is assigned to, but never used"))
    {
        Some((place, rest)) => {
            format!("{place}unused variable: `{}`", rest.split('`').next().unwrap_or(rest))
        }
        None => line.to_owned(),
    }
}

fn mistakes([block, function]: [&str; 2]) -> String {
    let source = include_str!("lints/mistakes.rs");
    source.replace("//@ block", block).replace("//@ function", function)
}

/// What is said about the lines themselves; the rest depends on where a closure begins.
fn is_about_code(line: &&String) -> bool {
    let words = ["unused", "never used", "unreachable", "must be used", "need to be mutable"];
    words.iter().any(|word| line.contains(word))
}

fn assert_same_lints(name: &str, edition: &str, attributes: [&str; 2]) {
    let plain = said_about(&format!("plain-{name}"), edition, &mistakes(PLAIN));
    let traced = said_about(name, edition, &mistakes(attributes));
    let kept = plain.iter().filter(is_about_code).collect::<Vec<_>>();
    assert!(kept.len() >= 20, "the crate has too few mistakes: {kept:#?}");
    let lost: Vec<_> = kept.into_iter().filter(|line| !traced.contains(*line)).collect();
    assert_eq!(lost, Vec::<&String>::new(), "silenced by {name}");
    let raised: Vec<_> = traced.difference(&plain).collect();
    assert_eq!(raised, Vec::<&String>::new(), "raised by {name}");
}

#[test]
fn a_traced_crate_has_the_lints_of_the_plain_one() {
    for edition in ["2021", "2024"] {
        assert_same_lints(&format!("lints-traced-{edition}"), edition, TRACED);
        assert_same_lints(&format!("lints-extra-types-{edition}"), edition, EXTRA_TYPES);
    }
}

/// The corpus, of which only one of the three modules is compiled.
fn corpus(kept: &str) -> String {
    let mut source = include_str!("corpus.rs").replace("deny(warnings", "warn(clippy::pedantic");
    for module in ["plain", "traced", "extra_types"] {
        if module != kept {
            let start = format!("#[path = \"corpus\"]\nmod {module} {{");
            assert!(source.contains(&start), "{module}");
            source = source.replace(&start, &format!("#[cfg(any())]\nmod {module} {{"));
        }
    }
    source.replace("#[path = \"corpus\"]", &format!("#[path = {:?}]", corpus_folder()))
}

fn corpus_folder() -> String {
    format!("{}/tests/corpus", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_traced_corpus_raises_no_lint_that_the_plain_one_does_not() {
    let about_corpus = |kept: &str| {
        let source = corpus(kept).replace("#![allow(clippy::duplicate_mod", "#![allow(dead_code");
        said_about(&format!("corpus-{}", kept.replace('_', "-")), "2024", &source)
    };
    let plain = about_corpus("plain");
    for module in ["traced", "extra_types"] {
        let raised: Vec<_> = about_corpus(module).difference(&plain).cloned().collect();
        assert_eq!(raised, Vec::<String>::new(), "raised in {module}");
    }
}

/// When temporaries are dropped depends on the edition.
#[test]
fn the_corpus_does_the_same_in_edition_2021() {
    let source = include_str!("corpus.rs")
        .replace("#[path = \"corpus\"]", &format!("#[path = {:?}]", corpus_folder()))
        .replace("#![deny(warnings", "#![allow(dead_code");
    let output = cargo(&["test", "--lib"], "corpus-2021", "2021", &source);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("1 passed"), "{said}");
}
