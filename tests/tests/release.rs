//! What is published hangs together: versions, licences, what a charm's tree holds, and what the
//! documents say of it. Needs no network: cargo answers from the lockfile.

#![expect(clippy::panic, clippy::unwrap_used, reason = "what a test cannot go on without")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;
use serde_json::Value;

/// The crates that are published, in the order in which they can be.
const PUBLISHED: [&str; 3] = ["charm-tracing-buffer", "charm-tracing-macros", "charm-tracing"];

/// More crates than this are to be argued about, not slipped in.
const MOST_CRATES: usize = 80;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap()
}

fn cargo(arguments: &[&str]) -> String {
    let mut cargo = Command::new(env!("CARGO"));
    let output = cargo.args(arguments).arg("--offline").current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The packages of the workspace, as cargo describes them.
fn packages() -> Vec<Value> {
    let metadata = cargo(&["metadata", "--format-version", "1", "--no-deps"]);
    let mut metadata: Value = serde_json::from_str(&metadata).unwrap();
    serde_json::from_value(metadata["packages"].take()).unwrap()
}

fn package(name: &str) -> Value {
    let found = packages().into_iter().find(|package| package["name"] == name);
    found.unwrap_or_else(|| panic!("no package `{name}`"))
}

/// The version of the workspace.
fn version() -> String {
    package("charm-tracing")["version"].as_str().unwrap().to_owned()
}

/// Name and licence of every crate in a charm's tree, with everything switched on.
fn tree() -> BTreeSet<(String, String)> {
    let format = "{p}\t{l}";
    let charm = ["tree", "-p", "charm-tracing", "--all-features", "--edges", "normal"];
    let tree = cargo(&[&charm[..], &["--prefix", "none", "--format", format]].concat());
    let crates = tree.lines().map(|line| line.trim_end_matches(" (*)").split_once('\t').unwrap());
    let named = crates.map(|(package, licence)| (name(package), licence.to_owned()));
    named.collect()
}

/// `syn v2.0.119` and `syn v3.0.10 (proc-macro)` are two crates, of one name.
fn name(package: &str) -> String {
    package.split(" (").next().unwrap().to_owned()
}

/// A list of words in `deny.toml`.
fn denied_or_allowed(list: &str) -> Vec<String> {
    let deny = read("deny.toml");
    let (_, from) = deny.split_once(&format!("\n{list} = [")).unwrap();
    let (inside, _) = from.split_once(']').unwrap();
    let words: Vec<String> = inside.split('"').skip(1).step_by(2).map(str::to_owned).collect();
    assert!(!words.is_empty(), "`{list}` in deny.toml is empty");
    words
}

/// Whether an SPDX expression can be met by allowed licences alone.
fn is_met(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    let met = any_of(&mut words, allowed);
    assert_eq!(words.next(), None, "not understood: {expression}");
    met
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(words: &mut Words<'_>, allowed: &[String]) -> bool {
    let mut met = all_of(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        met |= all_of(words, allowed);
    }
    met
}

fn all_of(words: &mut Words<'_>, allowed: &[String]) -> bool {
    let mut met = licence(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        met &= licence(words, allowed);
    }
    met
}

fn licence(words: &mut Words<'_>, allowed: &[String]) -> bool {
    match words.next() {
        Some("(") => {
            let met = any_of(words, allowed);
            assert_eq!(words.next(), Some(")"));
            met
        }
        name => allowed.iter().any(|allowed| Some(allowed.as_str()) == name),
    }
}

#[test]
fn licences_in_a_charms_tree_are_allowed() {
    let allowed = denied_or_allowed("allow");
    let refused: Vec<_> =
        tree().into_iter().filter(|(_, licence)| !is_met(licence, &allowed)).collect();
    assert!(refused.is_empty(), "not among {allowed:?}: {refused:#?}");
}

#[test]
fn expressions_of_licences_are_understood() {
    let allowed = ["MIT".to_owned(), "ISC".to_owned()];
    for (expression, met) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("MIT/Apache-2.0", true),
        ("MIT AND Unicode-3.0", false),
        ("(Apache-2.0 OR MIT) AND ISC", true),
        ("(Apache-2.0 OR MIT) AND Unicode-3.0", false),
        ("Unicode-3.0 AND ISC OR MIT", true),
        ("", false),
    ] {
        assert_eq!(is_met(expression, &allowed), met, "{expression}");
    }
}

#[test]
fn a_charms_tree_holds_nothing_that_is_banned() {
    let banned = denied_or_allowed("deny");
    let tree = tree();
    let names = tree.iter().map(|(package, _)| package.split(' ').next().unwrap());
    let found: Vec<&str> = names.filter(|name| banned.iter().any(|ban| ban == name)).collect();
    assert!(found.is_empty(), "{found:?}");
    assert!(tree.iter().any(|(package, _)| package.starts_with("ureq v")), "a tree: {tree:#?}");
}

#[test]
fn a_charms_tree_is_small() {
    let crates = tree();
    assert!(crates.len() <= MOST_CRATES, "{}: {crates:#?}", crates.len());
}

#[test]
fn three_crates_are_published_and_of_one_version() {
    let packages = packages();
    let published = packages.iter().filter(|package| package["publish"].is_null());
    let names: BTreeSet<&str> =
        published.map(|package| package["name"].as_str().unwrap()).collect();
    assert_eq!(names, BTreeSet::from(PUBLISHED));
    for package in packages {
        assert_eq!(package["version"], version(), "{}", package["name"]);
    }
}

#[test]
fn published_crates_need_nothing_that_is_not_published() {
    for (place, name) in PUBLISHED.into_iter().enumerate() {
        for dependency in package(name)["dependencies"].as_array().unwrap() {
            let needs = dependency["name"].as_str().unwrap();
            let ours = dependency["path"].is_string();
            // One without a version is not in what is published.
            if ours && (dependency["kind"] != "dev" || dependency["req"] != "*") {
                assert!(PUBLISHED[..place].contains(&needs), "{name} is published before {needs}");
            }
        }
    }
}

#[test]
fn pins_agree_with_the_versions() {
    let dependencies = package("charm-tracing")["dependencies"].take();
    let on = |name: &str| {
        let mut all = dependencies.as_array().unwrap().iter();
        all.find(|dependency| dependency["name"] == name).unwrap()["req"].clone()
    };
    // What the attributes expand to calls what no other version need have.
    assert_eq!(on("charm-tracing-macros"), format!("={}", version()));
    assert_eq!(on("charm-tracing-buffer"), format!("^{}", version()));
}

#[test]
fn published_crates_say_what_registries_ask_for() {
    for name in PUBLISHED {
        let package = package(name);
        for field in ["description", "documentation", "license", "readme", "rust_version"] {
            let said = package[field].as_str().is_some_and(|text| !text.is_empty());
            assert!(said, "{name}: no {field}");
        }
        for field in ["authors", "categories", "keywords"] {
            let words: Vec<&str> = package[field]
                .as_array()
                .unwrap()
                .iter()
                .map(|word| word.as_str().unwrap())
                .collect();
            assert!((1..=5).contains(&words.len()), "{name}: {field} are {words:?}");
        }
        let allowed = denied_or_allowed("allow");
        assert!(is_met(package["license"].as_str().unwrap(), &allowed), "{name}");
    }
}

#[test]
fn packages_hold_their_licence_and_nothing_that_is_not_theirs() {
    for name in PUBLISHED {
        let list = cargo(&["package", "--list", "--allow-dirty", "-p", name]);
        let files: BTreeSet<&str> = list.lines().collect();
        for wanted in ["Cargo.toml", "LICENSE", "README.md", "src/lib.rs"] {
            assert!(files.contains(wanted), "{name}: no {wanted}");
        }
        let theirs = |file: &&str| {
            file.starts_with("src/") || file.starts_with("tests/") || !file.contains('/')
        };
        let others: Vec<&&str> = files.iter().filter(|file| !theirs(file)).collect();
        assert!(others.is_empty(), "{name}: {others:?}");
        let licence = fs::read_to_string(root().join(name).join("LICENSE")).unwrap();
        assert_eq!(licence, read("LICENSE"), "{name}");
    }
}

#[test]
fn the_changelog_begins_with_this_version() {
    let changelog = read("CHANGELOG.md");
    let sections =
        Regex::new(r"(?m)^## \[?([0-9A-Za-z.]+)\]?(?: - ([0-9]{4}-[0-9]{2}-[0-9]{2}))?$").unwrap();
    let first = sections.captures_iter(&changelog).find(|section| &section[1] != "Unreleased");
    let first = first.expect("a section of a release, `## 1.2.3 - 2026-11-23`");
    assert_eq!(first[1], version());
    assert!(first.get(2).is_some(), "a release has a date: {}", &first[0]);
}

#[test]
fn dependencies_that_are_shown_take_this_version() {
    let version = version();
    let shown = Regex::new(r#"charm-tracing = (?:\{ version = )?"([0-9.]+)""#).unwrap();
    for file in ["README.md", "charm-tracing/examples/hello-charm/Cargo.toml"] {
        let text = read(file);
        let all: Vec<&str> =
            shown.captures_iter(&text).map(|found| found.get(1).unwrap().as_str()).collect();
        assert!(!all.is_empty(), "{file} shows none");
        for requirement in all {
            assert!(
                format!("{version}.").starts_with(&format!("{requirement}.")),
                "{file}: {requirement}"
            );
        }
    }
}

#[test]
fn documents_name_the_rust_version_that_the_manifests_state() {
    let stated = package("charm-tracing")["rust_version"].take();
    let named = Regex::new(r"(?:Rust[ \na-z:(]{0,20}?|\+)(1\.[0-9]+)").unwrap();
    let documents = [
        "README.md",
        "CONTRIBUTING.md",
        "charm-tracing/README.md",
        "charm-tracing-buffer/README.md",
    ];
    for file in documents {
        let text = read(file);
        let all: BTreeSet<&str> =
            named.captures_iter(&text).map(|found| found.get(1).unwrap().as_str()).collect();
        assert_eq!(all, BTreeSet::from([stated.as_str().unwrap()]), "{file}");
    }
    for name in PUBLISHED {
        assert_eq!(package(name)["rust_version"], stated, "{name}");
    }
}
