//! The examples do what they say, by the command that their first lines name; and the picture in
//! the README shows what the quickstart shows.

#![expect(clippy::unwrap_used, reason = "what a test cannot go on without")]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use charm_tracing_tests::drawn::{Row, rows};
use regex::Regex;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Runs the command that the example's head names; its stdout.
fn run(example: &str) -> String {
    let source = root().join(format!("charm-tracing/examples/{example}.rs"));
    let source = fs::read_to_string(source).unwrap();
    let head: String = source.lines().take_while(|line| line.starts_with("//!")).collect();
    let command = Regex::new("`cargo ([^`]+)`").unwrap();
    let command = command.captures(&head).unwrap();
    let arguments: Vec<&str> = command[1].split(' ').collect();
    assert_eq!(arguments[1..], ["--example", example]);
    let output = Command::new(env!("CARGO"))
        .current_dir(root())
        .args([&arguments[..1], &["--quiet"], &arguments[1..]].concat())
        .output()
        .unwrap();
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}:\n{stdout}{stderr}");
    stdout.into_owned()
}

/// The example draws these trees, and no span in them has failed.
fn shows(example: &str, expected: &str) {
    let shown = run(example);
    let lines = rows(&shown).into_iter().map(|row| {
        assert_eq!(row.failure, None, "{shown}");
        format!("{}{}\n", "  ".repeat(row.depth), row.name)
    });
    assert_eq!(lines.collect::<String>(), expected);
}

#[test]
fn async_charm() {
    shows(
        "async-charm",
        "\
hello/0: install event
  method call: HelloCharm::new
  event: install
    method call: HelloCharm::on_event
      method call: HelloCharm::on_install
        function call: render_config
        function call: pull_image
",
    );
}

#[test]
fn foreign_types() {
    shows(
        "foreign-types",
        "\
hello/0: config-changed event
  method call: HelloCharm::new
  event: config-changed
    method call: HelloCharm::on_config_changed
      method call: File::write_all
      method call: File::sync_all
",
    );
}

#[test]
fn custom_spans() {
    shows(
        "custom-spans",
        "\
hello/0: start event
  method call: HelloCharm::new
  event: start
    method call: HelloCharm::on_start
      migrate database
        library_call
      true
      event: database-ready
        function call: jobs
",
    );
}

#[test]
fn testing() {
    let said = run("testing");
    assert!(said.contains("2 passed"), "{said}");
}

#[test]
fn the_picture_shows_what_the_quickstart_shows() {
    let shown = run("quickstart");
    let fresh = rows(&shown);
    let picture = fs::read_to_string(root().join("docs/quickstart.svg")).unwrap();
    let pictured = pictured(&picture);
    let last = fresh.len().checked_sub(pictured.len()).unwrap();
    assert_eq!(
        pictured,
        fresh[last..],
        "cargo run --example quickstart -- --svg docs/quickstart.svg"
    );
    let executions = pictured.iter().filter(|row| row.depth == 0).count();
    assert_eq!(executions, 2);
}

/// A text's colour, its place, and what it says.
type Piece<'a> = (&'a str, usize, &'a str);

/// The rows of trees in a picture, by where its texts stand: names on the left, each as far to the
/// right as it lies deep; then a duration; then what failed.
fn pictured(picture: &str) -> Vec<Row> {
    let text =
        Regex::new(r#"<text class="([a-z]+)" x="([0-9]+)" y="([0-9]+)" textLength[^>]*>([^<]*)<"#);
    let text = text.unwrap();
    let mut lines: Vec<(&str, Vec<Piece<'_>>)> = Vec::new();
    for found in text.captures_iter(picture) {
        let [class, x, y, text] = found.extract().1;
        let piece = (class, x.parse().unwrap(), text);
        match lines.last_mut() {
            Some((line, pieces)) if *line == y => pieces.push(piece),
            _ => lines.push((y, vec![piece])),
        }
    }
    let row = |(_, pieces): (&str, Vec<Piece<'_>>)| {
        let [(class, x, name), _duration, rest @ ..] = &pieces[..] else { return None };
        let failure = rest.first().map(|(_, _, failure)| (*failure).to_owned());
        assert_eq!(*class == "red", failure.is_some(), "{name} has the wrong colour");
        Some(Row { depth: (x - 24) / 32, name: (*name).to_owned(), failure })
    };
    lines.into_iter().filter_map(row).collect()
}
