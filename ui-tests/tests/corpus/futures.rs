//! The corpus: functions that are futures.

#![allow(clippy::all, reason = "every shape, the odd ones too")]

use std::cell::RefCell;
use std::fmt::{self, Display};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;

use crate::log::{Drops, log};
use crate::run_to_end;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

#[derive(Debug)]
struct Broken;

impl Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("broken")
    }
}

impl std::error::Error for Broken {}

/// Pending once.
struct Yield(bool);

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

async fn pause() {
    Yield(false).await;
}

fn sendable<F: Future + Send>(future: F) -> F {
    future
}

struct Charm {
    name: String,
    jobs: Vec<u8>,
    dropped: Drops,
}

block! {
    impl Charm {
        async fn new(name: &str) -> Self {
            pause().await;
            Self { name: name.to_owned(), jobs: vec![1, 2], dropped: Drops("charm") }
        }

        async fn unit(&self) {
            pause().await;
            log(&*self.name);
        }

        async fn first_job(&mut self) -> Result<&mut u8, BoxError> {
            pause().await;
            if self.jobs.is_empty() {
                return Err(Box::new(Broken));
            }
            Ok(&mut self.jobs[0])
        }

        async fn parsed(&mut self, text: &str) -> Result<u8, BoxError> {
            let number = text.parse()?;
            pause().await;
            self.jobs.push(number);
            Ok(number)
        }

        async fn dyn_tail(&self) -> Result<Box<dyn Fn(u8) -> u8 + Send + '_>, Broken> {
            pause().await;
            Ok(Box::new(|x| x + self.jobs[0]))
        }

        async fn arguments_are_dropped_in_order(
            &self,
            first: Drops,
            _: Drops,
            (second, _): (Drops, Drops),
            _third: Drops,
            mut fourth: Drops,
        ) -> Result<u8, Broken> {
            let _local = Drops("local");
            pause().await;
            log("body");
            drop(second);
            fourth.0 = "changed";
            let _ = first;
            Ok(1)
        }

        async fn unit_drops(&self, _first: Drops, _second: Drops) {
            let _local = Drops("local");
            pause().await;
            log("body");
        }

        async fn tail_temporary(&self, _argument: Drops) -> Result<usize, Broken> {
            let _local = Drops("local");
            Temporary(&self.name, Drops("temporary")).length()
        }

        async fn tail_future(&self, _argument: Drops) -> Result<usize, Broken> {
            let _local = Drops("local");
            Temporary(&self.name, Drops("temporary")).later().await
        }

        async fn by_value(self, _extra: Drops) -> Result<String, Broken> {
            pause().await;
            let Self { name, .. } = self;
            log("taken apart");
            Ok(name)
        }

        async fn unused_value(self) -> Result<(), Broken> {
            pause().await;
            Ok(())
        }

        async fn boxed(self: Box<Self>) -> Result<usize, Broken> {
            pause().await;
            Ok(self.jobs.len())
        }

        async fn shared(self: Arc<Self>, other: Arc<Self>) -> Result<usize, Broken> {
            pause().await;
            Ok(Arc::strong_count(&self) + other.jobs.len())
        }

        async fn pinned(mut self: Pin<&mut Self>) -> Result<usize, Broken> {
            pause().await;
            self.jobs.push(1);
            Ok(self.jobs.len())
        }

        async fn generic<'a, T: Clone + Sync>(&'a self, items: &'a [T]) -> Result<&'a T, &'a str> {
            pause().await;
            items.first().ok_or(&self.name)
        }

        async fn impl_argument(&self, call: impl Fn(u8) -> u8 + Send) -> Result<u8, Broken> {
            pause().await;
            Ok(call(3))
        }

        async fn impl_in_result(&self) -> Result<impl Iterator<Item = u8> + '_, BoxError> {
            pause().await;
            if self.jobs.is_empty() {
                return Err(Box::new(Broken));
            }
            Ok(self.jobs.iter().copied())
        }

        async fn not_send(&self, shared: Rc<RefCell<u8>>) -> Result<u8, Broken> {
            *shared.borrow_mut() += 1;
            pause().await;
            Ok(*shared.borrow())
        }

        async fn recursive(&self, depth: u8) -> Result<u8, Broken> {
            if depth == 0 { Err(Broken) } else { Box::pin(self.recursive(depth - 1)).await }
        }

        async fn macro_return(&self, early: bool) -> Result<(), String> {
            macro_rules! bail {
                ($($text:tt)*) => { return Err(format!($($text)*)) };
            }
            pause().await;
            if early {
                bail!("bailed out of {}", self.name);
            }
            Ok(())
        }

        async fn never(&self) -> ! {
            pause().await;
            panic!("never returns")
        }

        async unsafe fn not_safe(&self) -> Result<u8, Broken> {
            pause().await;
            Ok(1)
        }

        async fn blocks_and_closures(&self) -> Result<u8, Broken> {
            let block = async { pause().await; self.jobs[0] };
            let closure = async |x: u8| { pause().await; x + 1 };
            Ok(block.await + closure(2).await)
        }

        async fn conditional(
            &self,
            #[cfg(any())] absent: NoSuchType,
            #[cfg(all())] present: u8,
            last: u8,
        ) -> Result<u8, Broken> {
            pause().await;
            Ok(present + last)
        }

        fn opaque(&self, add: u8) -> impl Future<Output = Result<u8, Broken>> + Send + '_ {
            log("called");
            async move { pause().await; Ok(self.jobs[0] + add) }
        }

        fn opaque_unpin(&self) -> impl Future<Output = ()> + Unpin + '_ {
            Box::pin(async { pause().await; log(&*self.name) })
        }

        fn pinned_box(&self, early: bool) -> Pin<Box<dyn Future<Output = Result<u8, BoxError>> + Send + '_>> {
            if early {
                return Box::pin(async { Err(BoxError::from("early")) });
            }
            Box::pin(async { pause().await; Ok(self.jobs[1]) })
        }

        fn box_future(&self) -> BoxFuture<'_, u8> {
            Box::pin(async { pause().await; self.jobs[1] })
        }

        fn local(&self, shared: Rc<u8>) -> Pin<Box<dyn Future<Output = u8> + '_>> {
            Box::pin(async move { pause().await; *shared + self.jobs[0] })
        }

        fn ready(&self) -> std::future::Ready<u8> {
            std::future::ready(4)
        }
    }
}

struct Temporary<'a>(&'a str, Drops);

impl Temporary<'_> {
    fn length(&self) -> Result<usize, Broken> {
        Ok(self.0.len() + self.1.0.len())
    }

    async fn later(&self) -> Result<usize, Broken> {
        pause().await;
        self.length()
    }
}

trait Native {
    async fn native(&mut self, event: &str) -> Result<usize, BoxError>;
    fn desugared(&self) -> impl Future<Output = Result<u8, Broken>> + Send;
}

block! {
    impl Native for Charm {
        async fn native(&mut self, event: &str) -> Result<usize, BoxError> {
            pause().await;
            self.name.push_str(event);
            Ok(self.name.len())
        }

        async fn desugared(&self) -> Result<u8, Broken> {
            pause().await;
            Err(Broken)
        }
    }
}

#[async_trait]
trait Boxed {
    async fn outer_first(&mut self, event: &str, (a, b): (u8, u8)) -> Result<usize, BoxError>;
    async fn unit(&self);
}

#[async_trait]
trait LocalBoxed {
    async fn inner_first(&mut self, event: &str, (a, b): (u8, u8)) -> Result<usize, BoxError>;
    async fn borrowed<'a>(&'a self, text: &'a str) -> Result<&'a str, BoxError>;
}

block! {
    #[async_trait]
    impl Boxed for Charm {
        async fn outer_first(&mut self, event: &str, (a, b): (u8, u8)) -> Result<usize, BoxError> {
            pause().await;
            self.name.push_str(event);
            let _: u8 = "x".parse().or_else(|_| "1".parse())?;
            Ok(self.name.len() + usize::from(a + b))
        }

        async fn unit(&self) {
            pause().await;
            log(&*self.name);
        }
    }
}

block! {
    @after #[async_trait]
    impl LocalBoxed for Charm {
        async fn inner_first(&mut self, event: &str, (a, b): (u8, u8)) -> Result<usize, BoxError> {
            pause().await;
            self.name.push_str(event);
            Ok(self.name.len() + usize::from(a + b))
        }

        async fn borrowed<'a>(&'a self, text: &'a str) -> Result<&'a str, BoxError> {
            pause().await;
            if text.is_empty() { Ok(&self.name) } else { Ok(text) }
        }
    }
}

function! {
    async fn free(text: String) -> Result<usize, std::num::ParseIntError> {
        pause().await;
        text.parse()
    }
}

function! {
    async fn anyhow(text: &str) -> anyhow::Result<u8> {
        anyhow::ensure!(!text.is_empty(), "empty");
        pause().await;
        let number: u8 = text.parse()?;
        if number > 9 {
            anyhow::bail!("too large: {number}");
        }
        Ok(number)
    }
}

fn show<T: fmt::Debug, E: Display>(name: &str, result: Result<T, E>) {
    match result {
        Ok(value) => log(format!("{name}: Ok({value:?})")),
        Err(error) => log(format!("{name}: Err({error})")),
    }
}

/// Runs everything.
pub(crate) fn run() {
    run_to_end(all());
}

async fn all() {
    let mut charm = sendable(Charm::new("hello")).await;
    sendable(charm.unit()).await;
    show("first_job", sendable(charm.first_job()).await.map(|job| std::mem::replace(job, 9)));
    show("parsed", sendable(charm.parsed("5")).await);
    show("parsed", charm.parsed("x").await);
    show("dyn_tail", charm.dyn_tail().await.map(|call| call(1)));
    show(
        "arguments_are_dropped_in_order",
        sendable(charm.arguments_are_dropped_in_order(
            Drops("first"),
            Drops("wild"),
            (Drops("second"), Drops("rest")),
            Drops("third"),
            Drops("fourth"),
        ))
        .await,
    );
    charm.unit_drops(Drops("first"), Drops("second")).await;
    show("tail_temporary", charm.tail_temporary(Drops("argument")).await);
    show("tail_future", charm.tail_future(Drops("argument")).await);
    show("by_value", sendable(Charm::new("gone").await.by_value(Drops("extra"))).await);
    show("unused_value", sendable(Charm::new("gone").await.unused_value()).await);
    show("boxed", Box::new(Charm::new("box").await).boxed().await);
    let shared = Arc::new(Charm::new("arc").await);
    show("shared", sendable(Arc::clone(&shared).shared(shared)).await);
    show("pinned", sendable(Pin::new(&mut charm).pinned()).await);
    show("generic", sendable(charm.generic(&["a", "b"])).await);
    show("impl_argument", sendable(charm.impl_argument(|x| x * 2)).await);
    show("impl_in_result", charm.impl_in_result().await.map(Iterator::collect::<Vec<_>>));
    show("not_send", charm.not_send(Rc::default()).await);
    show("recursive", charm.recursive(3).await);
    show("macro_return", sendable(charm.macro_return(true)).await);
    show("macro_return", charm.macro_return(false).await);
    // SAFETY: it is.
    show("not_safe", unsafe { charm.not_safe() }.await);
    show("blocks_and_closures", charm.blocks_and_closures().await);
    show("conditional", sendable(charm.conditional(1, 2)).await);
    show("opaque", sendable(charm.opaque(1)).await);
    let unpolled = charm.opaque(2);
    log("not polled");
    drop(unpolled);
    let mut unpin = charm.opaque_unpin();
    (&mut unpin).await;
    drop(unpin);
    show("pinned_box", sendable(charm.pinned_box(true)).await);
    show("pinned_box", sendable(charm.pinned_box(false)).await);
    log(charm.box_future().await.to_string());
    log(charm.local(Rc::new(1)).await.to_string());
    log(charm.ready().into_inner().to_string());
    show("native", charm.native("!").await);
    show("desugared", sendable(charm.desugared()).await);
    show("outer_first", sendable(charm.outer_first("?", (1, 2))).await);
    Boxed::unit(&charm).await;
    show("inner_first", sendable(charm.inner_first("?", (1, 2))).await);
    show("borrowed", sendable(charm.borrowed("")).await);
    show("free", sendable(free("12".to_owned())).await);
    show("anyhow", sendable(anyhow("12")).await);
    show("anyhow", anyhow("").await);
    show("anyhow", anyhow("x").await);
    cancelled(&charm).await;
    log(format!("{:?}", charm.dropped));
}

/// A future that is dropped half way drops what it holds, in the same order.
async fn cancelled(charm: &Charm) {
    let arguments = (Drops("first"), Drops("wild"), (Drops("second"), Drops("rest")));
    let mut future = Box::pin(charm.arguments_are_dropped_in_order(
        arguments.0,
        arguments.1,
        arguments.2,
        Drops("third"),
        Drops("fourth"),
    ));
    std::future::poll_fn(|context| {
        log(format!("{:?}", future.as_mut().poll(context).is_ready()));
        Poll::Ready(())
    })
    .await;
    drop(future);
    log("cancelled");
    drop(charm.unit_drops(Drops("never"), Drops("polled")));
    log("not polled");
    log(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run_to_end(charm.never())))
        .is_err()
        .to_string());
}
