//! What the attributes record: names, nesting, attributes, outcomes.

use std::fmt::{self, Display};
use std::future::{self, Future};
use std::panic::{self, AssertUnwindSafe};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use charm_tracing::testing::{Span, Status, Trace, capture};
use charm_tracing::{trace_charm, trace_function, trace_method, trace_type};

/// A type of another crate.
mod foreign {
    use std::cell::{RefCell, RefMut};

    #[derive(Debug, Default)]
    pub struct Client {
        pub part: Part,
    }

    impl Client {
        pub fn update(&mut self, jobs: u32) -> u32 {
            jobs
        }

        pub fn get(&self) -> u32 {
            3
        }

        pub fn build(self) -> Self {
            self
        }

        pub async fn fetch(&self) -> u32 {
            std::future::ready(4).await
        }
    }

    #[derive(Debug, Default)]
    pub struct Part;

    impl Part {
        pub fn work(&self) -> u32 {
            5
        }
    }

    #[derive(Debug, Default)]
    pub struct Cell(pub RefCell<Client>);

    impl Cell {
        pub fn lend(&self) -> RefMut<'_, Client> {
            self.0.borrow_mut()
        }
    }
}

use foreign::{Cell, Client, Part};

#[derive(Debug)]
struct Broken;

impl Display for Broken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("broken")
    }
}

impl std::error::Error for Broken {}

struct HelloCharm {
    client: Client,
    cell: Cell,
    jobs: Vec<u32>,
}

#[trace_charm(extra_types(Client, Part), skip(skipped))]
impl HelloCharm {
    fn new() -> Self {
        Self { client: Client::default(), cell: Cell::default(), jobs: vec![1] }
    }

    fn on_install(&mut self) -> Result<(), Broken> {
        self.client.update(Self::associated());
        self.skipped();
        self.left_to_its_own();
        free(1).map_err(|_| Broken)?;
        Ok(())
    }

    const LINE: u32 = line!() + 1;
    fn associated() -> u32 {
        7
    }

    fn skipped(&self) {
        self.client.get();
    }

    #[trace_method(skip)]
    fn left_to_its_own(&self) {}

    #[trace_method(name = "renamed", fields(jobs = jobs.len(), relation.id = format!("db:{id}"), "plain key" = true))]
    fn with_options(&self, jobs: &[u32], id: u32) -> Result<usize, Broken> {
        Ok(jobs.len() + id as usize)
    }

    #[trace_method(err = false)]
    fn fails_quietly(&self) -> Result<(), Broken> {
        Err(Broken)
    }

    fn fails(&self) -> Result<(), Broken> {
        self.fails_inside()
    }

    fn fails_inside(&self) -> Result<(), Broken> {
        Err(Broken)
    }

    fn panics(&self) {
        panic!("gave up")
    }

    fn places(&mut self) -> u32 {
        let local = Client::default();
        let closure = || local.get();
        self.client.get() + (*self.client.part_mut()).work() + closure() + self.jobs.len() as u32
    }

    fn values(&mut self) -> u32 {
        self.cell.lend().update(Client::default().build().get());
        Client::update(&mut self.client, 3);
        self.cell.lend().part.work()
    }

    fn in_macros(&self) -> String {
        assert!(self.client.get() > 0);
        format!("{}", self.client.get().clone())
    }

    async fn on_update(&self) -> Result<u32, Broken> {
        Pause(false).await;
        let fetched = self.client.fetch().await;
        self.cell.0.borrow_mut().update(fetched);
        async { self.client.get() }.await;
        Err(Broken)
    }

    async fn is_cancelled(&self) {
        future::pending().await
    }

    #[trace_method(fields(id = id))]
    fn opaque(&self, id: u32) -> impl Future<Output = Result<u32, Broken>> + '_ {
        async move { if id == 0 { Err(Broken) } else { Ok(self.client.get()) } }
    }

    #[trace_method(err = false)]
    fn boxed(&self) -> Pin<Box<dyn Future<Output = Result<u32, Broken>> + '_>> {
        Box::pin(async { Err(Broken) })
    }
}

trait PartMut {
    fn part_mut(&mut self) -> &mut Part;
}

#[trace_type(name = "Remote")]
impl PartMut for Client {
    fn part_mut(&mut self) -> &mut Part {
        &mut self.part
    }
}

/// Pending once.
struct Pause(bool);

impl Future for Pause {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

#[trace_function]
fn free(number: u32) -> Result<u32, std::num::ParseIntError> {
    "7".parse::<u32>().map(|parsed| parsed + number)
}

#[trace_function(name = "other", fields(number = number))]
fn renamed(number: u64) {}

mod inner {
    pub(super) struct Generic<T>(pub(super) T);
}

impl<T: Display> inner::Generic<T> {
    #[trace_method]
    fn standalone(&self) -> Result<(), String> {
        Err(self.0.to_string())
    }

    #[trace_method(name = "named")]
    fn named() -> Option<Self> {
        None
    }

    #[trace_method]
    async fn future(&self) -> u32 {
        1
    }
}

fn run_to_end<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

/// The names of the spans that `code` opens, indented, without the root.
fn spans(code: impl FnOnce()) -> Vec<String> {
    let trace = capture(code);
    trace.assert_times_nest();
    let outline = trace.outline();
    outline.lines().skip(1).map(|line| line.strip_prefix("  ").unwrap_or(line).to_owned()).collect()
}

fn exceptions(trace: &Trace) -> Vec<&str> {
    let has_one = |span: &&Span| span.events.iter().any(|event| event.name == "exception");
    trace.spans.iter().filter(has_one).map(|span| span.name.as_str()).collect()
}

#[test]
fn every_method_is_a_span_and_a_method_with_its_own_attribute_is_one() {
    let opened = spans(|| {
        let mut charm = HelloCharm::new();
        charm.on_install().unwrap();
        charm.with_options(&[1, 2], 3).unwrap();
        renamed(1);
    });
    assert_eq!(
        opened,
        [
            "method call: HelloCharm::new",
            "method call: HelloCharm::on_install",
            "  method call: Client::update",
            "    method call: HelloCharm::associated",
            "  function call: free",
            "method call: renamed",
            "function call: other",
        ]
    );
}

#[test]
fn a_span_says_where_its_function_is() {
    let trace = capture(|| assert_eq!(HelloCharm::associated(), 7));
    let span = trace.find("method call: HelloCharm::associated");
    assert_eq!(span.attribute("code.function.name"), Some("spans::HelloCharm::associated"));
    assert_eq!(span.attribute("code.file.path"), Some(file!()));
    assert_eq!(span.attribute("code.line.number"), Some(HelloCharm::LINE.to_string().as_str()));
}

#[test]
fn fields_are_recorded_under_their_keys() {
    let trace = capture(|| {
        HelloCharm::new().with_options(&[1, 2], 3).unwrap();
        renamed(9);
    });
    let span = trace.find("method call: renamed");
    assert_eq!(span.attribute("jobs"), Some("2"));
    assert_eq!(span.attribute("relation.id"), Some("db:3"));
    assert_eq!(span.attribute("plain key"), Some("true"));
    assert_eq!(trace.find("function call: other").attribute("number"), Some("9"));
}

#[test]
fn an_error_is_on_every_span_it_passes_and_its_exception_where_it_began() {
    let trace = capture(|| drop(HelloCharm::new().fails()));
    for name in ["method call: HelloCharm::fails", "method call: HelloCharm::fails_inside"] {
        assert_eq!(trace.find(name).status, Status::error("broken"), "{name}");
        assert_eq!(trace.find(name).attribute("error.type"), Some("spans::Broken"));
    }
    assert_eq!(exceptions(&trace), ["method call: HelloCharm::fails_inside"]);
}

#[test]
fn an_error_that_is_not_to_be_recorded_is_not() {
    let trace = capture(|| {
        drop(HelloCharm::new().fails_quietly());
        drop(run_to_end(HelloCharm::new().boxed()));
    });
    assert_eq!(trace.find("method call: HelloCharm::fails_quietly").status, Status::Unset);
    assert_eq!(trace.find("method call: HelloCharm::boxed").status, Status::Unset);
}

#[test]
fn a_panic_is_recorded() {
    let trace = capture(|| {
        let charm = HelloCharm::new();
        drop(panic::catch_unwind(AssertUnwindSafe(|| charm.panics())));
    });
    let span = trace.find("method call: HelloCharm::panics");
    assert!(matches!(&span.status, Status::Error(said) if said.starts_with("gave up")), "{span:?}");
    assert_eq!(exceptions(&trace), ["method call: HelloCharm::panics"]);
}

#[test]
fn calls_on_extra_types_are_spans_whatever_they_are_made_on() {
    let opened = spans(|| {
        let mut charm = HelloCharm::new();
        charm.places();
        charm.values();
        charm.in_macros();
    });
    assert_eq!(
        opened,
        [
            "method call: HelloCharm::new",
            "method call: HelloCharm::places",
            "  method call: Client::get",
            "  method call: Client::part_mut",
            "    method call: Remote::part_mut",
            "  method call: Part::work",
            "  method call: Client::get",
            "method call: HelloCharm::values",
            "  method call: Client::update",
            "    method call: Client::build",
            "    method call: Client::get",
            "  method call: Client::update",
            "  method call: Part::work",
            "method call: HelloCharm::in_macros",
            "  method call: Client::get",
            "  method call: Client::get",
        ]
    );
}

#[test]
fn a_future_is_a_span_from_its_first_poll_to_its_end() {
    let trace = capture(|| {
        let charm = HelloCharm::new();
        let unpolled = charm.on_update();
        drop(unpolled);
        drop(run_to_end(charm.on_update()));
    });
    assert_eq!(
        trace.outline().lines().skip(2).map(str::trim_start).collect::<Vec<_>>(),
        [
            "method call: HelloCharm::on_update",
            "method call: Client::fetch",
            "method call: Client::update",
            "method call: Client::get",
        ]
    );
    trace.assert_times_nest();
    let update = trace.find("method call: HelloCharm::on_update");
    assert_eq!(update.status, Status::error("broken"));
    assert_eq!(trace.children(update).count(), 3);
}

#[test]
fn a_span_is_current_only_while_its_future_is_polled() {
    let trace = capture(|| {
        let charm = HelloCharm::new();
        let mut future = pin!(charm.on_update());
        let mut context = Context::from_waker(Waker::noop());
        assert!(future.as_mut().poll(&mut context).is_pending());
        free(1).unwrap();
        assert!(future.as_mut().poll(&mut context).is_ready());
    });
    let between = trace.find("function call: free");
    assert_eq!(trace.parent_of(between).unwrap().name, trace.root().name);
}

#[test]
fn a_future_that_is_dropped_half_way_is_cancelled() {
    let trace = capture(|| {
        let charm = HelloCharm::new();
        let mut future = Box::pin(charm.is_cancelled());
        let mut context = Context::from_waker(Waker::noop());
        assert!(future.as_mut().poll(&mut context).is_pending());
    });
    let span = trace.find("method call: HelloCharm::is_cancelled");
    assert_eq!(span.status, Status::error("cancelled"));
}

#[test]
fn a_function_that_returns_a_future_has_the_span_of_the_future() {
    let trace = capture(|| {
        let charm = HelloCharm::new();
        let (fails, works) = (charm.opaque(0), charm.opaque(1));
        drop(charm.opaque(2));
        run_to_end(works).unwrap();
        run_to_end(fails).unwrap_err();
    });
    let spans: Vec<_> = trace.children(trace.root()).skip(1).collect();
    assert_eq!(spans.len(), 2);
    assert_eq!((spans[0].attribute("id"), &spans[0].status), (Some("1"), &Status::Unset));
    assert_eq!((spans[1].attribute("id"), &spans[1].status), (Some("0"), &Status::error("broken")));
}

#[test]
fn a_method_in_a_block_that_is_not_traced_is_named_after_its_type() {
    let trace = capture(|| {
        let generic = inner::Generic("said");
        generic.standalone().unwrap_err();
        assert!(inner::Generic::<u8>::named().is_none());
        run_to_end(generic.future());
    });
    let span = trace.find("method call: Generic::standalone");
    assert_eq!(span.attribute("code.function.name"), Some("spans::inner::Generic::standalone"));
    assert_eq!(span.status, Status::error("said"));
    assert!(trace.has("method call: named"));
    assert!(trace.has("method call: Generic::future"));
}
