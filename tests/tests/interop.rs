//! At home in the ecosystem: spans of the OpenTelemetry API and of `tracing`, threads, pools and
//! tasks, all in one trace at their places.

#![expect(clippy::unwrap_used, reason = "what a test cannot go on without")]

use std::sync::mpsc;
use std::thread;

use charm_tracing::testing::{Trace, capture, capture_async};
use charm_tracing::{
    assert_tree, carried, carried_future, current_span, suppressed, trace_function, trace_method,
};
use futures_util::future::join_all;
use opentelemetry::baggage::BaggageExt;
use opentelemetry::trace::{
    FutureExt, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId,
    TraceState, Tracer,
};
use opentelemetry::{Context, KeyValue, global};
use tracing_subscriber::layer::SubscriberExt;

#[trace_function]
fn ours(then: impl FnOnce()) {
    then();
}

struct Charm;

impl Charm {
    #[trace_method]
    async fn task(&self, number: u64) -> u64 {
        tokio::task::yield_now().await;
        number
    }
}

fn with_tracing<R>(code: impl FnOnce() -> R) -> R {
    let subscriber = tracing_subscriber::registry().with(charm_tracing::layer::layer());
    tracing::subscriber::with_default(subscriber, code)
}

#[tracing::instrument(skip_all)]
fn library(then: impl FnOnce()) {
    tracing::info!(answer = 42, "library at work");
    then();
}

// The OpenTelemetry API.

#[test]
fn api_spans_nest_in_ours_and_ours_in_theirs() {
    let trace = capture(|| {
        ours(|| {
            global::tracer("lib").in_span("theirs", |context| {
                assert_eq!(Context::current().span().span_context(), context.span().span_context());
                ours(|| ());
            });
        });
    });
    assert_tree!(
        trace,
        "
        capture
          function call: ours
            theirs
              function call: ours
        "
    );
    assert_eq!(trace.find("theirs").scope, "lib");
}

#[test]
fn current_span_is_the_current_span_whoever_opened_it() {
    let trace = capture(|| {
        global::tracer("lib").in_span("theirs", |_| {
            current_span().unwrap().set_attribute("said", "ours");
        });
        ours(|| Context::current().span().set_attribute(KeyValue::new("said", "theirs")));
    });
    assert_eq!(trace.find("theirs").attribute("said"), Some("ours"));
    assert_eq!(trace.find("function call: ours").attribute("said"), Some("theirs"));
}

#[test]
fn a_span_that_the_api_renames_still_says_where_it_is() {
    let trace = capture(|| ours(|| Context::current().span().update_name("renamed")));
    let function = trace.find("renamed").attribute("code.function.name");
    assert_eq!(function, Some("interop::ours"));
}

#[test]
fn everything_that_the_api_says_of_a_span_arrives() {
    let ids = (TraceId::from(7), SpanId::from(9));
    let trace = capture(|| {
        let tracer = global::tracer("lib");
        let linked =
            SpanContext::new(ids.0, ids.1, TraceFlags::SAMPLED, true, TraceState::default());
        let span = tracer
            .span_builder("theirs")
            .with_kind(SpanKind::Client)
            .with_attributes([KeyValue::new("a", 1), KeyValue::new("b", 2)])
            .start(&tracer);
        let context = Context::current_with_span(span);
        context.span().set_attribute(KeyValue::new("b", 3));
        context.span().add_event("event", vec![KeyValue::new("c", true)]);
        context.span().add_link(linked, Vec::new());
        context.span().set_status(Status::error("broken"));
        context.span().update_name("renamed");
    });
    let span = trace.find("renamed");
    assert_eq!((span.attribute("a"), span.attribute("b")), (Some("1"), Some("3")));
    assert_eq!(
        (span.events[0].name.as_str(), &span.events[0].attributes["c"][..]),
        ("event", "true")
    );
    assert_eq!(span.links, [(ids.0.to_string(), ids.1.to_string())]);
    assert_eq!(span.status, charm_tracing::testing::Status::error("broken"));
    assert_eq!(span.kind, SpanKind::Client);
}

#[test]
fn contexts_and_baggage_move_to_threads_and_futures() {
    let trace = capture(|| {
        let tracer = global::tracer("lib");
        let span = tracer.start("theirs");
        let context =
            Context::current_with_span(span).with_baggage([KeyValue::new("tenant", "blue")]);
        let of_thread = context.clone();
        let thread = thread::spawn(move || {
            tracer.start_with_context("in a thread", &of_thread);
            let _attached = of_thread.attach();
            ours(|| {
                let tenant = Context::current().baggage().get("tenant").map(ToString::to_string);
                current_span().unwrap().set_attribute("tenant", tenant.unwrap());
            });
        });
        thread.join().unwrap();
        let future = async { ours(|| ()) };
        block_on(future.with_context(context));
    });
    assert_tree!(
        trace,
        "
        capture
          theirs
            in a thread
            function call: ours
            function call: ours
        "
    );
    assert!(trace.spans.iter().any(|span| span.attribute("tenant") == Some("blue")));
}

#[test]
fn outside_of_executions_the_provider_does_no_harm() {
    let tracer = global::tracer("early");
    tracer.in_span("before", |context| assert!(!context.span().is_recording()));
    let trace = capture(|| tracer.in_span("within", |_| ()));
    tracer.in_span("after", |_| assert!(current_span().is_none()));
    assert!(!trace.has("before") && !trace.has("after"));
}

#[test]
fn a_guard_disables_tracing_for_a_scope() {
    let trace = capture(|| {
        let off = suppressed();
        ours(|| assert!(current_span().is_none()));
        with_tracing(|| library(|| ()));
        global::tracer("lib").in_span("theirs", |_| ());
        drop(off);
        ours(|| ());
    });
    assert_tree!(
        trace,
        "
        capture
          function call: ours
        "
    );
}

// `tracing`.

#[test]
fn spans_of_tracing_nest_both_ways_and_keep_their_events() {
    let trace = with_tracing(|| capture(|| ours(|| library(|| ours(|| ())))));
    assert_tree!(
        trace,
        "
        capture
          function call: ours
            library
              function call: ours
        "
    );
    let library = trace.find("library");
    assert_eq!(library.event_names(), ["library at work"]);
    assert_eq!(library.events[0].attributes["answer"], "42");
    trace.assert_times_nest();
}

#[test]
fn tracing_outside_of_an_execution_is_nothing() {
    with_tracing(|| library(|| assert!(current_span().is_none())));
}

// Threads.

#[test]
fn a_carried_closure_hangs_under_the_span_that_carried_it() {
    let trace = capture(|| {
        ours(|| thread::spawn(carried(|| ours(|| ()))).join().unwrap());
    });
    assert_tree!(
        trace,
        "
        capture
          function call: ours
            function call: ours
        "
    );
}

#[test]
fn a_thread_pool_keeps_nothing_of_what_was_carried_into_it() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    let trace = capture(|| {
        ours(|| pool.install(carried(|| ours(|| ()))));
        pool.install(|| assert!(current_span().is_none()));
    });
    assert_eq!(trace.spans.len(), 3);
}

#[test]
fn captures_on_parallel_threads_do_not_mix() {
    thread::scope(|scope| {
        for threads_own in 0..8_u64 {
            scope.spawn(move || {
                let trace = capture(|| {
                    for _ in 0..threads_own {
                        ours(|| ());
                    }
                });
                assert_eq!(trace.spans.len() as u64, threads_own + 1);
            });
        }
    });
}

#[test]
fn a_span_that_is_still_open_elsewhere_at_the_end_is_delivered_and_marked() {
    let (open, is_open) = mpsc::channel();
    let (close, may_close) = mpsc::channel::<()>();
    let mut thread = None;
    let trace = capture(|| {
        thread = Some(thread::spawn(carried(move || {
            ours(|| {
                open.send(()).unwrap();
                may_close.recv().unwrap();
            });
        })));
        is_open.recv().unwrap();
    });
    let span = trace.find("function call: ours");
    assert_eq!(span.attribute("charm_tracing.unfinished"), Some("true"));
    close.send(()).unwrap();
    thread.unwrap().join().unwrap();
}

// Tasks.

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn carried_tasks_and_blocking_work_hang_under_their_span() {
    let trace = capture_async(async {
        let mut tasks = Vec::new();
        for number in 0..10 {
            tasks.push(tokio::spawn(carried_future(async move { Charm.task(number).await })));
        }
        let blocking = tokio::task::spawn_blocking(carried(|| ours(|| ())));
        blocking.await.unwrap();
        for task in tasks {
            task.await.unwrap();
        }
    })
    .await;
    assert_eq!(trace.children(trace.root()).count(), 11);
    trace.assert_times_nest();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn futures_polled_in_turn_do_not_become_each_others_parents() {
    let trace = capture_async(async {
        let sum: u64 = join_all((0..100).map(|number| Charm.task(number))).await.iter().sum();
        assert_eq!(sum, 4950);
    })
    .await;
    assert_eq!(trace.children(trace.root()).count(), 100);
}

// All at once.

/// 8 threads and 1,000 tasks open and close 200,000 spans through all four APIs.
#[test]
fn under_stress_every_span_arrives_once_with_the_right_parent() {
    const THREADS: u64 = 8;
    const TASKS: u64 = 1_000;
    const SPANS: u64 = 200_000;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
    let subscriber = tracing_subscriber::registry().with(charm_tracing::layer::layer());
    let dispatch = tracing::Dispatch::new(subscriber);
    // A round opens six spans; half of them run on threads, half in tasks.
    let rounds_of_thread = SPANS / 2 / THREADS / 6;
    let rounds_of_task = SPANS / 2 / TASKS / 6;
    let trace = capture(|| {
        thread::scope(|scope| {
            for _ in 0..THREADS {
                let dispatch = dispatch.clone();
                scope.spawn(carried(move || {
                    tracing::dispatcher::with_default(&dispatch, || {
                        (0..rounds_of_thread).for_each(round);
                    });
                }));
            }
            let tasks = (0..TASKS).map(|_| {
                let dispatch = dispatch.clone();
                runtime.spawn(carried_future(async move {
                    for number in 0..rounds_of_task {
                        tracing::dispatcher::with_default(&dispatch, || round(number));
                        tokio::task::yield_now().await;
                    }
                }))
            });
            for task in tasks.collect::<Vec<_>>() {
                runtime.block_on(task).unwrap();
            }
        });
    });
    let rounds = THREADS * rounds_of_thread + TASKS * rounds_of_task;
    assert_eq!(trace.spans.len() as u64, 1 + 6 * rounds);
    assert_rounds(&trace, rounds);
}

/// Six spans, one in the other, through the attribute, the OpenTelemetry API and `tracing`, and an
/// attribute through `current_span`.
fn round(number: u64) {
    ours(|| {
        global::tracer("lib").in_span("theirs", |_| {
            library(|| {
                let _span = tracing::info_span!("by hand").entered();
                ours(|| {
                    global::tracer("lib").in_span("innermost", |_| {
                        let number = i64::try_from(number).unwrap();
                        current_span().unwrap().set_attribute("round", number);
                    });
                });
            });
        });
    });
}

fn assert_rounds(trace: &Trace, rounds: u64) {
    let path =
        ["capture", "function call: ours", "theirs", "library", "by hand", "function call: ours"];
    let innermost = trace.spans.iter().filter(|span| span.name == "innermost");
    let mut count = 0;
    for span in innermost {
        assert_eq!(trace.path(span)[..6], path);
        assert!(span.attribute("round").is_some());
        count += 1;
    }
    assert_eq!(count, rounds);
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}
