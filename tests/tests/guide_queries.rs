//! The guide's queries find what they are said to find, in traces that the sample charm really
//! sent.
//!
//! What reads them here is the little of TraceQL that the guide uses. How long something took is
//! not compared: hooks are fast here.

#![expect(clippy::panic, clippy::unwrap_used, reason = "what a test cannot go on without")]

use std::collections::BTreeMap;

use charm_tracing_tests::document::Document;
use charm_tracing_tests::{CharmDir, Receiver, Span, Status, Trace};
use regex::Regex;

/// The life of a unit that has something to be found by every query: events that waited and events
/// that were lost for want of a backend, an event that was put off, an action that failed.
fn traces() -> Vec<Trace> {
    let program = env!("CARGO_BIN_EXE_hello-charm-under-test");
    let charm = CharmDir::new(program, env!("CARGO_BIN_EXE_hook-tool"));
    std::fs::write(charm.path().join("metadata.yaml"), "name: hello-charm\n").unwrap();
    charm.juju().configure([("greeting", "hello")]);
    charm.juju().run_action([("name", "")]);
    let storage = charm.path().display().to_string();
    let dispatch = |path: &str| charm.dispatch(path).variable("HELLO_CHARM_TRACES", &storage);
    for _ in 0..101 {
        assert_eq!(dispatch("hooks/update-status").run().code, Some(0));
    }
    let receiver = Receiver::start();
    charm.juju().relate("tracing:1", "tempo");
    charm.juju().offer("tracing:1", "tempo", &receiver.endpoint());
    for (path, code) in [("hooks/config-changed", 0), ("hooks/start", 0), ("actions/greet", 1)] {
        assert_eq!(dispatch(path).run().code, Some(code));
    }
    receiver.traces()
}

#[test]
fn every_query_finds_what_it_says() {
    let traces = traces();
    let documents = ["docs/guide.md", "docs/from-python.md"].map(Document::read);
    let queries: Vec<String> = documents.iter().flat_map(|d| d.blocks("traceql")).collect();
    assert!(queries.len() > 10);
    for query in queries {
        let query = query.trim();
        let found = traces.iter().map(|trace| find(query, trace).len()).sum::<usize>();
        let all = traces.iter().map(|trace| trace.spans.len()).sum::<usize>();
        assert!(found > 0 && found < all, "{query} finds {found} of {all} spans");
    }
}

/// The spans of a trace that a query finds.
fn find<'a>(query: &str, trace: &'a Trace) -> Vec<&'a Span> {
    let mut stages = query.split(" >> ").map(conditions);
    let first = stages.next().unwrap();
    let start = trace.spans.iter().filter(|span| all_hold(&first, span, trace)).collect();
    stages.fold(start, |above: Vec<&Span>, conditions| {
        let is_below = |span: &&Span| ancestors(span, trace).iter().any(|id| has(&above, id));
        let found = trace.spans.iter().filter(is_below);
        found.filter(|span| all_hold(&conditions, span, trace)).collect()
    })
}

fn has(spans: &[&Span], id: &str) -> bool {
    spans.iter().any(|span| span.id == id)
}

fn ancestors<'a>(span: &'a Span, trace: &'a Trace) -> Vec<&'a str> {
    let next = |span: &&'a Span| trace.parent_of(span);
    std::iter::successors(trace.parent_of(span), next).map(|span| span.id.as_str()).collect()
}

struct Condition {
    field: String,
    operator: String,
    value: String,
}

/// `{ field operator value && .. }`
fn conditions(spanset: &str) -> Vec<Condition> {
    let inner = spanset.strip_prefix("{ ").and_then(|rest| rest.strip_suffix(" }"));
    let inner = inner.unwrap_or_else(|| panic!("no braces around {spanset}"));
    let condition = Regex::new(r"^([a-zA-Z_.]+) (=|!=|=~|>) (.+)$").unwrap();
    let read = |text: &str| {
        let parts = condition.captures(text).unwrap_or_else(|| panic!("cannot read {text}"));
        let [field, operator, value] = parts.extract().1.map(str::to_owned);
        Condition { field, operator, value }
    };
    inner.split(" && ").map(read).collect()
}

fn all_hold(conditions: &[Condition], span: &Span, trace: &Trace) -> bool {
    conditions.iter().all(|condition| holds(condition, span, trace))
}

fn holds(condition: &Condition, span: &Span, trace: &Trace) -> bool {
    let Condition { field, operator, value } = condition;
    let of = |map: &BTreeMap<String, String>, key: &str| map.get(key).cloned();
    let found: Vec<Option<String>> = match field.split_once('.') {
        None if field == "name" => vec![Some(span.name.clone())],
        None if field == "status" => {
            let failed = matches!(span.status, Status::Error(_));
            vec![Some(if failed { "error" } else { "unset" }.to_owned())]
        }
        None if field == "duration" => {
            assert!(value.ends_with("ms"), "{value} is no duration");
            return true;
        }
        Some(("resource", key)) => vec![of(&trace.resource, key)],
        Some(("span", key)) => vec![of(&span.attributes, key)],
        Some(("event", key)) => {
            span.events.iter().map(|event| of(&event.attributes, key)).collect()
        }
        _ => panic!("nobody knows {field}"),
    };
    found.into_iter().any(|found| compares(found.as_deref(), operator, value))
}

fn compares(found: Option<&str>, operator: &str, value: &str) -> bool {
    let text = value.trim_matches('"');
    match (found, operator, value) {
        (found, "!=", "nil") => found.is_some(),
        (None, ..) => false,
        (Some(found), "=", _) => found == text,
        (Some(found), "=~", _) => Regex::new(&format!("^(?:{text})$")).unwrap().is_match(found),
        (Some(found), ">", _) => found.parse::<i64>().unwrap() > value.parse().unwrap(),
        _ => panic!("nobody knows {operator}"),
    }
}
