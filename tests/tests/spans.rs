//! What an execution's trace is made of, as a receiver has it.

use charm_tracing_tests::{CharmDir, CharmRun, Receiver, Status, Trace, test_charm};

struct World {
    receiver: Receiver,
    charm: CharmDir,
}

impl World {
    fn new() -> Self {
        Self { receiver: Receiver::start(), charm: test_charm!() }
    }

    fn dispatch(&self, path: &str) -> CharmRun {
        self.charm.dispatch(path).variable("TEST_CHARM_ENDPOINT", &self.receiver.endpoint())
    }

    fn trace_of(&self, run: &CharmRun, code: Option<i32>) -> Trace {
        let finished = run.run();
        assert_eq!(finished.code, code, "{finished:?}");
        let trace = self.receiver.trace();
        trace.assert_times_nest();
        trace
    }

    fn trace(&self, path: &str) -> Trace {
        self.trace_of(&self.dispatch(path), Some(0))
    }
}

#[test]
fn a_hook_is_a_tree_of_root_event_methods_and_functions() {
    let trace = World::new().trace("hooks/nested");
    assert_eq!(
        trace.outline(),
        "\
hello/0: nested event
  method call: TestCharm::new
  event: nested
    method call: TestCharm::on_event
      method call: TestCharm::on_nested
        method call: Store::first_mut
        function call: count
      method call: TestCharm::outcome
"
    );
}

#[test]
fn spans_say_where_in_the_code_they_are_and_nothing_of_their_arguments() {
    let trace = World::new().trace("hooks/nested");
    let span = trace.find("method call: Store::first_mut");
    let keys: Vec<&str> = span.attributes.keys().map(String::as_str).collect();
    assert_eq!(keys, ["code.file.path", "code.function.name", "code.line.number"]);
    assert_eq!(span.attribute("code.function.name"), Some("test_charm::Store::first_mut"));
    let file = span.attribute("code.file.path").unwrap();
    assert!(file.ends_with("test-charm.rs"), "{file}");
    let source = include_str!("../src/bin/test-charm.rs");
    let line = source.lines().position(|line| line.contains("fn first_mut")).unwrap() + 1;
    assert_eq!(span.attribute("code.line.number"), Some(line.to_string().as_str()));
    assert_eq!(span.scope, "charm-tracing");
}

#[test]
fn root_and_event_say_what_juju_runs() {
    let trace = World::new().trace("actions/nested");
    let root = trace.root();
    assert_eq!(root.attribute("juju.dispatch_path"), Some("actions/nested"));
    assert_eq!((root.status.clone(), root.parent.as_str()), (Status::Unset, ""));
    let event = trace.find("event: nested");
    assert_eq!(event.attribute("event_name"), Some("nested"));
    assert_eq!(event.attribute("event_type"), Some("action"));
    assert_eq!(event.attribute("deferred"), Some("false"));
    assert_eq!(event.event_names(), ["nested"]);
}

#[test]
fn resource_says_who_the_charm_is() {
    let trace = World::new().trace("hooks/nested");
    let expected = [
        ("charm", "hello-k8s"),
        ("charm_type", "TestCharm"),
        ("compose_service", "hello"),
        ("juju_application", "hello"),
        ("juju_model", "welcome"),
        ("juju_model_uuid", "cdcaed9f-336d-47d3-83ba-d9ea9047b18c"),
        ("juju_unit", "hello/0"),
        ("service.instance.id", "0"),
        ("service.name", "hello"),
        ("service.namespace", "cdcaed9f-336d-47d3-83ba-d9ea9047b18c"),
        ("telemetry.sdk.language", "rust"),
        ("telemetry.sdk.name", "charm-tracing"),
        ("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
    ];
    let resource: Vec<_> = trace.resource.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(resource, expected);
}

#[test]
fn current_span_takes_attributes_and_events() {
    let trace = World::new().trace("hooks/nested");
    let span = trace.find("method call: TestCharm::on_nested");
    assert_eq!(span.attribute("total"), Some("10"));
    assert_eq!(span.event_names(), ["counted"]);
    assert_eq!(span.events[0].attributes["items"], "yes");
    assert!(span.start <= span.events[0].time && span.events[0].time <= span.end);
}

#[test]
fn a_custom_event_is_a_span_of_its_own() {
    let trace = World::new().trace("hooks/custom-event");
    let span = trace.find("event: database-ready");
    assert_eq!(span.attribute("event_type"), Some("custom"));
    assert_eq!(span.event_names(), ["database-ready"]);
    assert_eq!(
        trace.path(trace.find("method call: Store::count")),
        [
            "hello/0: custom-event event",
            "event: custom-event",
            "method call: TestCharm::on_event",
            "event: database-ready",
            "method call: TestCharm::on_database_ready",
            "method call: Store::count",
        ]
    );
}

#[test]
fn a_thread_without_a_span_hangs_under_the_root() {
    let trace = World::new().trace("hooks/thread");
    let path = trace.path(trace.find("method call: Partly::traced"));
    assert_eq!(path, ["hello/0: thread event", "method call: Partly::traced"]);
}

#[test]
fn traced_code_may_run_when_its_thread_has_ended() {
    let world = World::new();
    let finished = world.dispatch("hooks/ending-thread").run();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let each = "farewell from 6\nthe thread ended well: true\n";
    assert!(finished.stdout.contains(&each.repeat(3)), "{finished:?}");
    let trace = world.receiver.trace();
    let path = trace.path(trace.find("method call: Partly::traced"));
    assert_eq!(path, ["hello/0: ending-thread event", "method call: Partly::traced"]);
}

#[test]
fn a_span_from_another_process_is_a_parent_and_one_of_another_tracer_is_none() {
    let world = World::new();
    let finished = world.dispatch("hooks/other-traces").run();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let mut traces = world.receiver.traces();
    traces.sort_by_key(|trace| trace.spans.len());
    let outlines: Vec<String> = traces.iter().map(Trace::outline).collect();
    let from_outside = "\
function call: on_opentelemetry
  library call
    method call: Partly::traced
";
    let own = "\
hello/0: other-traces event
  method call: TestCharm::new
  event: other-traces
    method call: TestCharm::on_event
      method call: TestCharm::outcome
  function call: count
";
    assert_eq!(outlines, [from_outside, own]);
    let outermost = traces[0].find("function call: on_opentelemetry");
    assert_eq!(outermost.parent, "0000000000000009");
}

#[test]
fn an_execution_beside_the_processs_own_is_a_trace_of_its_own() {
    let world = World::new();
    let endpoint = world.receiver.endpoint();
    let run = world.dispatch("hooks/two-executions");
    let finished = run.variable("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint).run();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let mut traces = world.receiver.traces();
    traces.sort_by_key(|trace| trace.spans.len());
    let outlines: Vec<String> = traces.iter().map(Trace::outline).collect();
    let (beside, own) = (&outlines[0], &outlines[1]);
    assert_eq!(beside, "hello/0: two-executions event\n  function call: count\n");
    assert!(own.contains("method call: Partly::traced") && !own.contains("count"), "{own}");
}

#[test]
fn spans_of_the_opentelemetry_api_nest_both_ways() {
    let trace = World::new().trace("hooks/opentelemetry");
    let library = trace.find("library call");
    assert_eq!((library.scope.as_str(), library.attribute("library")), ("library", Some("true")));
    let path = trace.path(trace.find("method call: Partly::traced"));
    assert_eq!(
        path[3..],
        ["function call: on_opentelemetry", "library call", "method call: Partly::traced"]
    );
}

#[test]
fn a_hundred_thousand_spans_of_one_execution_all_arrive() {
    let world = World::new();
    // Unoptimised, encoding alone takes longer than a hook is held by default.
    let run = world.dispatch("hooks/many-spans").variable("OTEL_EXPORTER_OTLP_TIMEOUT", "60000");
    let trace = world.trace_of(&run, Some(0));
    let parent = trace.find("method call: TestCharm::on_many_spans");
    assert_eq!(trace.children(parent).count(), 100_000);
}

#[test]
fn a_sampled_trace_of_jujus_is_the_roots_parent() {
    let world = World::new();
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let run = world.dispatch("hooks/nested").variable("TRACEPARENT", parent);
    let trace = world.trace_of(&run, Some(0));
    assert_eq!(trace.id, "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(trace.root().parent, "b7ad6b7169203331");
}

#[test]
fn an_unsampled_trace_of_jujus_is_linked_to() {
    let world = World::new();
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    let run = world.dispatch("hooks/nested").variable("TRACEPARENT", parent);
    let trace = world.trace_of(&run, Some(0));
    assert_ne!(trace.id, "0af7651916cd43dd8448eb211c80319c");
    let linked = ("0af7651916cd43dd8448eb211c80319c".into(), "b7ad6b7169203331".into());
    assert_eq!((trace.root().parent.as_str(), &trace.root().links[..]), ("", &[linked][..]));
}

#[test]
fn ids_are_different_in_every_execution() {
    let world = World::new();
    for _ in 0..3 {
        world.dispatch("hooks/nested").run();
    }
    let traces = world.receiver.traces();
    assert_eq!(traces.len(), 3);
    for trace in &traces {
        assert_eq!((trace.id.len(), trace.root().id.len()), (32, 16));
    }
}
