//! What the end-to-end tests, the quickstart and the benchmarks stand on: a receiver for OTLP/HTTP
//! on the loopback interface, charms run as Juju runs them, and traces to look at.
//!
//! Everything here deals with real processes, sockets and files. The charm under test knows
//! nothing of it.

mod charm;
pub mod document;
pub mod drawn;
mod fake_juju;
pub mod hook_tools;
mod picture;
mod proxy;
mod receiver;
mod show;
pub mod tls;
pub mod told;
mod trace;
mod tree;
mod unit;

pub use charm::{CharmDir, CharmRun, Finished};
pub use charm_tracing::assert_tree;
pub use charm_tracing::testing::{Span, SpanEvent, Status, Trace};
pub use fake_juju::FakeJuju;
pub use picture::Picture;
pub use proxy::{Asked, Proxy};
pub use receiver::{Answer, Down, Manner, Received, Receiver, Unserved};
pub use show::{Variables, by_environment, show};
pub use tls::{Authority, TlsFront};
pub use trace::decode;
pub use tree::{Palette, Tree};
pub use unit::{DEADLINE, Handled, Unit};

/// The documents' code is compiled and run as it stands there.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../../README.md")]
    struct Readme;

    #[doc = include_str!("../../docs/guide.md")]
    struct Guide;
}
