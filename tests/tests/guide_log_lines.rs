//! The guide's tables of log lines: every line that the crate can write is in them, none is in them
//! that it cannot write, and what is really written is found there.

#![expect(clippy::unwrap_used, reason = "what a test cannot go on without")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use charm_tracing_tests::document::{Document, repository};
use charm_tracing_tests::{Answer, Authority, Down, Manner, Receiver, Unit, test_charm};
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use regex::Regex;

/// The lines that the guide explains, `…` where they differ.
fn explained() -> Vec<String> {
    let lines = Document::read("docs/guide.md").column("line");
    assert!(lines.len() > 50);
    lines
}

// What the source can say.

/// Text in the source that never gets into the log, and where it goes instead.
const ELSEWHERE: [(&str, &str); 32] = [
    (
        "other processes held its lock for {waited:?}; try again, or raise `lock_timeout`",
        "for users of the buffer alone",
    ),
    (
        "a record of {bytes} bytes can never fit, the limit is {limit} bytes; split it or raise `max_bytes`",
        "for users of the buffer alone",
    ),
    (
        "`max_bytes` is {bytes}; choose a number from 65536 to 4294967295",
        "for users of the buffer alone: no option leads there",
    ),
    ("charm-tracing: {message}", "what stands before each line"),
    ("Error: {printed}", "the charm's own error, on stderr"),
    ("{unit}: {} event", "the root's name"),
    ("{} event", "the root's name"),
    ("event: {}", "a span's name"),
    ("method call: {}::{}", "a span's name"),
    ("exit code {code}", "behind the colon of a hook tool's failure"),
    ("signal {signal}", "behind the colon of a hook tool's failure"),
    ("a boolean", "what the guide writes as …"),
    ("a number", "what the guide writes as …"),
    ("a list", "what the guide writes as …"),
    ("an object", "what the guide writes as …"),
    ("record is", "what the guide writes of more than one"),
    ("`chain` is not JSON", "what the guide writes as …"),
    ("the given CA certificate", "what the guide writes as …"),
    (" + core::marker::", "looked for in names of types"),
    ("symbolic link", "what the guide writes as …"),
    ("there is no relation `{relation}`", "NotReady's Display; as it should be, so not logged"),
    ("not a version of Juju", "an error of parsing, for the caller"),
    ("permission denied", "looked for in what a hook tool says"),
    ("to an HTTPS server", "looked for in what a backend says"),
    ("sent to HTTPS port", "looked for in what a backend says"),
    ("SSL-enabled server port", "looked for in what a backend says"),
    ("(this message panicked)", "a span's error"),
    ("panicked with a value that is not text", "a span's error"),
    (r"{}\n\nCaused by:\n    {causes}", "an attribute of a span's error"),
    ("it would be refused when read: {next:?}", "an assertion of builds with debug assertions"),
    ("used without the lock", "an assertion"),
    ("charm-tracing calls this nowhere", "unreachable"),
];

#[test]
fn every_line_that_can_be_logged_is_in_the_table() {
    let explained = explained();
    let mut unused: Vec<&String> = explained.iter().collect();
    let mut unexplained = Vec::new();
    for text in source_texts() {
        if ELSEWHERE.iter().any(|(elsewhere, _)| *elsewhere == text) {
            continue;
        }
        let by: Vec<&String> = explained.iter().filter(|line| says(line, &text)).collect();
        if by.is_empty() {
            unexplained.push(text);
        }
        unused.retain(|line| !by.contains(line));
    }
    assert_eq!(unexplained, [""; 0], "the guide's table has no line for these");
    assert_eq!(unused, [""; 0], "the source says nothing of the kind");
}

/// Whether a line of the guide has all that is fixed in a text of the source, in its order.
fn says(line: &str, text: &str) -> bool {
    let placeholder = Regex::new(r"\{[^}]*\}").unwrap();
    let mut rest = line;
    let has_letters = |part: &&str| part.chars().any(char::is_alphabetic);
    placeholder
        .split(text)
        .map(str::trim)
        .filter(has_letters)
        .all(|part| rest.split_once(part).map(|(_, behind)| rest = behind).is_some())
}

/// Everything in the source that reads as a sentence or a part of one: text of more than one word,
/// outside of tests, attributes, comments, and what only tests of charms use.
fn source_texts() -> Vec<String> {
    let mut files = files_in(&repository().join("charm-tracing/src"));
    files.extend(files_in(&repository().join("charm-tracing-buffer/src")));
    files.retain(|file| !file.components().any(|part| part.as_os_str() == "testing"));
    let mut texts = Vec::new();
    for file in files {
        let source: TokenStream = fs::read_to_string(file).unwrap().parse().unwrap();
        collect(source, &mut texts);
    }
    texts.retain(|text| has_words(text) && text.trim().contains(' ') && !text.starts_with("-----"));
    assert!(texts.len() > 60);
    texts
}

/// Whether a text says anything beside what is put into it.
fn has_words(text: &str) -> bool {
    let placeholder = Regex::new(r"\{[^}]*\}").unwrap();
    placeholder.replace_all(text, "").chars().any(char::is_alphabetic)
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_in(&path) } else { vec![path] }).collect()
}

fn collect(tokens: TokenStream, texts: &mut Vec<String>) {
    let mut tokens = tokens.into_iter().peekable();
    let mut is_test = false;
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(mark) if mark.as_char() == '#' => {
                let is_attribute = |token: &TokenTree| matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket);
                if matches!(tokens.peek(), Some(TokenTree::Punct(inner)) if inner.as_char() == '!')
                {
                    tokens.next();
                }
                if let Some(attribute) = tokens.next_if(is_attribute) {
                    is_test |= attribute.to_string().replace(' ', "") == "[cfg(test)]";
                }
            }
            TokenTree::Group(group) if is_test && group.delimiter() == Delimiter::Brace => {
                is_test = false;
            }
            TokenTree::Group(group) => collect(group.stream(), texts),
            TokenTree::Literal(literal) => texts.extend(text_of(&literal.to_string())),
            TokenTree::Ident(_) | TokenTree::Punct(_) => {}
        }
    }
}

fn text_of(literal: &str) -> Option<String> {
    let text = literal.strip_prefix('"')?.strip_suffix('"')?;
    Some(Regex::new("\\\\\n *").unwrap().replace_all(text, "").replace("\\\"", "\""))
}

// What is really said.

/// Lines in the guide, that one execution says after `prepare`, and what else is in them.
fn is_said(prepare: impl FnOnce(&mut Unit), expected: &[&str]) {
    let mut unit = Unit::new(test_charm!());
    unit.set("OTEL_EXPORTER_OTLP_TIMEOUT", "400");
    prepare(&mut unit);
    let finished = unit.dispatch("nested").run();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_explained(&unit.charm.juju_log().join("\n"), expected);
}

fn assert_explained(said: &str, expected: &[&str]) {
    let explained = explained();
    for expected in expected {
        let Some(line) = explained.iter().find(|line| *line == expected) else {
            assert!(said.contains(expected), "{expected} is neither in the guide nor said: {said}");
            continue;
        };
        let pattern: Vec<String> = line.split('…').map(regex::escape).collect();
        let pattern = Regex::new(&pattern.join(".+")).unwrap();
        assert!(pattern.is_match(said), "not said: {line}\nsaid: {said}");
    }
}

const WAITS: &str = "…; traces wait in `…`";
const FAILS: &str = "the backend at … does not take them: …";

#[test]
fn lines_that_are_really_logged_are_found_in_the_table() {
    is_said(|_| (), &["there is no backend yet", WAITS]);
    let down = Down::reserve();
    is_said(|unit| unit.send_to(&down.endpoint()), &[FAILS, WAITS, "Connection refused"]);
    let unknown = "http://no..such..host:4318";
    is_said(|unit| unit.send_to(unknown), &[FAILS, WAITS, "failed to lookup address"]);
    for (endpoint, why) in [
        ("tempo:4318", "it does not begin with `http://` or `https://`"),
        ("ftp://tempo", "its scheme is neither `http` nor `https`"),
        ("http://:4318", "it names no host"),
    ] {
        let line = "… is not the URL of a backend: … (`…`)";
        is_said(|unit| unit.send_to(endpoint), &[line, why, WAITS]);
    }
    let through_gopher = |unit: &mut Unit| {
        unit.send_to("http://tempo.example:4318");
        unit.set("JUJU_CHARM_HTTP_PROXY", "gopher://proxy");
    };
    is_said(through_gopher, &["the proxy cannot be used: …", WAITS]);
    is_said(
        |unit| unit.set("TEST_CHARM_BUFFER_MAX_EVENTS", "0"),
        &["there is no backend yet", "…; there is no buffer, so this trace is lost"],
    );
    is_said(
        |unit| unit.set("TEST_CHARM_BUFFER_MAX_EVENTS", "panics"),
        &["the charm's tracing options panicked"],
    );
}

/// Juju's log has no time left either then, a logger of the charm's own needs none.
#[test]
fn the_line_about_too_little_time_is_found_in_the_table() {
    let (mut unit, down) = (Unit::new(test_charm!()), Down::reserve());
    unit.send_to(&down.endpoint());
    unit.set("OTEL_EXPORTER_OTLP_TIMEOUT", "0");
    unit.set("TEST_CHARM_LOGGER", "1");
    let said = unit.dispatch("nested").run().stderr;
    assert_explained(&said, &["the export timeout leaves no time to send them", WAITS]);
}

/// What a backend that answers so makes the charm say.
fn is_said_of(answer: Answer, expected: &[&str]) {
    let receiver = Receiver::start();
    receiver.answer_always(answer);
    is_said(|unit| unit.send_to(&receiver.endpoint()), expected);
}

#[test]
fn lines_about_what_a_backend_answers_are_found_in_the_table() {
    is_said_of(Answer::status(503), &[FAILS, "it answers with status …", WAITS]);
    is_said_of(Answer::given(Manner::Never), &[FAILS, "no answer in time", WAITS]);
    let plaintext = Answer::status(400).text("Client sent an HTTP request to an HTTPS server.");
    is_said_of(plaintext, &[FAILS, "it speaks TLS and was asked in plaintext"]);
    let trickle = Answer::given(Manner::BodyByteByByte(Duration::from_millis(100)));
    is_said_of(trickle, &["the backend at … does not end its answers"]);
    is_said_of(Answer::status(404), &["the backend refused 1 record for good (status 404)"]);
    let rejected = "the backend rejected … spans of what it took: …";
    is_said_of(Answer::partial_success(2, "too long ago"), &[rejected]);
}

#[test]
fn lines_about_certificates_are_found_in_the_table() {
    let authority = Authority::new("ca");
    let receiver = Receiver::start_tls(authority.server("127.0.0.1"));
    let trusting = |pem: String, endpoint: String| {
        move |unit: &mut Unit| {
            let file = unit.charm.path().join("ca.pem");
            fs::write(&file, pem).unwrap();
            unit.set("TEST_CHARM_CERTIFICATE", file.to_str().unwrap());
            unit.send_to(&endpoint);
        }
    };
    let (good, endpoint) = (authority.pem(), receiver.endpoint());
    let none = "the backend is `https` and there is no CA certificate yet";
    is_said(|unit| unit.send_to(&endpoint), &[none, WAITS]);
    let missing = |unit: &mut Unit| {
        unit.send_to(&endpoint);
        unit.set("TEST_CHARM_CERTIFICATE", "/no/such/file");
    };
    is_said(missing, &["the CA file `…`: …", WAITS]);
    let empty = "… holds no certificate in PEM form";
    is_said(trusting(String::new(), endpoint.clone()), &[empty, WAITS]);
    let half = format!("{good}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    is_said(trusting(half, endpoint.clone()), &["… of … certificates in … cannot be used"]);
    let other = Authority::new("other").pem();
    is_said(trusting(other, endpoint), &[FAILS, "UnknownIssuer", WAITS]);
    let elsewhere = Receiver::start_tls(authority.server("tempo.example"));
    is_said(trusting(good, elsewhere.endpoint()), &[FAILS, "not valid for name", WAITS]);
}

#[test]
fn lines_about_the_buffer_are_found_in_the_table() {
    let down = Down::reserve();
    let lost = "…; there is no buffer, so this trace is lost";
    let is_no_file = "it is a …, not a file; remove it or choose another path";
    is_said(
        |unit| fs::create_dir(unit.buffer()).unwrap(),
        &["cannot open buffer `…`: …", is_no_file, lost],
    );
    is_said(
        |unit| fs::write(unit.buffer(), "a shopping list\n").unwrap(),
        &["`…` was no buffer and is now called `….foreign`", WAITS],
    );
    let held = |unit: &mut Unit| {
        unit.buffer_events(["waits"]);
        unit.send_to(&down.endpoint());
        let file = fs::OpenOptions::new().read(true).write(true).open(unit.buffer()).unwrap();
        file.lock().unwrap();
        // For as long as this test's process lives.
        std::mem::forget(file);
    };
    let waited = "other processes held the lock of buffer `…` for …";
    is_said(held, &[waited]);
}
