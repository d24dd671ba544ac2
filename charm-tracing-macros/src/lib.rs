//! The attributes of charm-tracing. Use them through that crate.
//!
//! | attribute | goes on | traces |
//! | --- | --- | --- |
//! | [`macro@trace_charm`] | the charm's `impl` block, or its `struct` | every method of the block, and says how the charm is traced |
//! | [`macro@trace_type`] | any `impl` block | every method of the block |
//! | [`macro@trace_method`] | a method | that method |
//! | [`macro@trace_function`] | a free function | that function |
//!
//! # What is recorded
//!
//! A traced function is a span from its first statement to its end, called `method call:
//! Type::method` or `function call: name`, with `code.function.name`, `code.file.path` and
//! `code.line.number`. Its arguments are not recorded unless `fields(..)` names them.
//!
//! An `Err` that is returned ends the span with status Error: the error's `Display` as description,
//! else its `Debug`, else its type's name. However the `Result` is spelt, it is found: an alias,
//! `io::Result`, `anyhow::Result`, an associated type. A panic is recorded likewise.
//!
//! The span of an `async fn`, of a function that returns `impl Future`, a boxed `dyn Future` or a
//! `BoxFuture`, covers the future from its first poll to its end. It is current while the future is
//! polled and at no other time. A future that is dropped half way ends its span as "cancelled".
//!
//! # What a traced function means
//!
//! What it means without the attribute: the same values, borrows, drops in the same order, the same
//! lints and errors at the same places. Where that could not be kept, less is traced:
//!
//! | shape | what happens | why |
//! | --- | --- | --- |
//! | `const fn` in a traced block | not traced | it may run when the program is compiled |
//! | methods that a macro makes in a block | not traced | they do not exist yet; put the attribute on them in the macro |
//! | `#[naked]` functions | not traced | they have no body to trace |
//! | `#[track_caller]` functions | traced, an `Err` is not recorded | a closure around the body would change `Location::caller()` |
//! | more than 16 arguments, `...`, `#[cfg]` on an argument (not `async`) | traced, an `Err` is not recorded | the arguments cannot be handed on one by one |
//! | `impl Future + Trait` with a trait other than `Send`, `Sync`, `Unpin` | the call is traced, not the future | what polls it in the span would not be a `Trait` |
//! | a future of a named type, like `Ready<T>` | the call is traced, not the future | it would become another type |
//! | `#[cfg_attr(.., trace_method)]` in a traced block | two spans | which options hold is not known yet |

mod args;
mod call_sites;
mod errors;
mod expand;
mod item;

use proc_macro::TokenStream;

/// Traces a charm: every method of the `impl` block is a span, and the options say how an execution
/// is traced.
///
/// ```
/// use charm_tracing::trace_charm;
/// # struct Client;
/// # impl Client { fn update(&mut self) {} }
///
/// struct HelloCharm {
///     tracing_endpoint: Option<String>,
///     client: Client,
/// }
///
/// #[trace_charm(
///     tracing_endpoint = tracing_endpoint,
///     service_name = "hello",
///     extra_types(Client),
/// )]
/// impl HelloCharm {
///     fn on_install(&mut self) -> Result<(), std::io::Error> {
///         self.client.update();
///         Ok(())
///     }
/// }
/// ```
///
/// # Options
///
/// All of them may be left out.
///
/// | option | value | default |
/// | --- | --- | --- |
/// | `tracing_endpoint` | the base URL of an OTLP/HTTP backend, as text or an `Option` of it | Juju's, else OpenTelemetry's variables |
/// | `server_cert`, also `cert_path` | the certificates of an `https` backend: a path, or the certificates | as above |
/// | `service_name` | text | the Juju application's name |
/// | `buffer_max_events` | how many executions wait on disk at most; 0 switches the buffer off | 100 |
/// | `buffer_max_size_mib` | how large the buffer becomes at most, at least 10 | 10 |
/// | `buffer_path` | a path | `.charm_tracing_buffer.raw` in the charm's directory |
/// | `export_timeout` | a `Duration`: how long tracing may hold the charm at the end of an execution | 1 s |
/// | `extra_types(Type, ..)` | types on whose values calls are spans | none |
/// | `skip(method, ..)` | methods that are not traced | none |
/// | `crate = path` | the path of `charm_tracing`, where it has another | `::charm_tracing` |
///
/// `tracing_endpoint` and `server_cert` name a method of the block, else a field;
/// `"tracing_endpoint"` works as well. Any option takes any expression: one that mentions `self` is
/// evaluated when the charm is built, another before. A `buffer_max_size_mib` that is a constant is
/// checked by the compiler.
///
/// # On a struct
///
/// The attribute then only says how the charm is traced; `#[trace_type]` on its `impl` blocks
/// traces their methods.
///
/// ```
/// use charm_tracing::{trace_charm, trace_type};
///
/// #[trace_charm(service_name = "hello")]
/// struct HelloCharm;
///
/// #[trace_type]
/// impl HelloCharm {
///     fn on_install(&mut self) {}
/// }
/// ```
///
/// # `extra_types`
///
/// Calls on values of the listed types are spans called `method call: Type::method`, where they are
/// made in the bodies of the block: those types may be of crates that know nothing of tracing.
/// Calls through references, `Box`, `Rc`, `Arc`, `Pin`, `Ref`, `RefMut` and lock guards count.
/// Methods that every type has from the standard library (`clone`, `eq`, `as_ref`, `into`,
/// `borrow`, `to_string`, …) do not. Whether a value is of a listed type is found out by the name
/// of its type, at run time.
///
/// A span begins before the call's arguments are evaluated, so that calls in them lie inside it;
/// that of an awaited call begins when its future is first polled. What the call returns is not
/// looked at: an `Err` is recorded on the function that returns it.
///
/// These calls are left as they are:
///
/// | call | why |
/// | --- | --- |
/// | on a macro's value (`value!().call()`) | the macro may stand for a place, which cannot be passed through a function |
/// | on an index that is computed by a call (`list[next()].call()`), on a range | it would be evaluated twice |
/// | on a literal or another constant expression | passed through a function it could no longer live for ever |
/// | on `self`, unless the block's own type is listed | its methods have their own spans |
/// | whose arguments contain `.await`, or a macro that may, and that is not awaited itself | the span would be current while other things run |
/// | in `async` code, on a value that was awaited in the same expression, and not awaited itself | the same |
/// | in a macro that is not of the standard library, in `dbg!` and in the pattern of `matches!` | what the macro does with it is not known; `dbg!` prints it |
/// | in `const` blocks and nested items | they are no part of the body |
/// | of a trait by its name (`Trait::call(&value)`) | a path says nothing of the value's type |
#[proc_macro_attribute]
pub fn trace_charm(options: TokenStream, item: TokenStream) -> TokenStream {
    errors::collected(item.into(), |item, errors| {
        item::charm(options.into(), item, errors).map(expand::charm)
    })
    .into()
}

/// Traces every method of an `impl` block, of a type or of a trait for a type.
///
/// ```
/// use charm_tracing::trace_type;
///
/// struct Workload;
///
/// #[trace_type(skip(is_ready))]
/// impl Workload {
///     fn restart(&self) {}
///
///     fn is_ready(&self) -> bool {
///         true
///     }
/// }
/// ```
///
/// # Options
///
/// | option | value | default |
/// | --- | --- | --- |
/// | `name = ".."` | the type's name in spans | the type's name |
/// | `extra_types(Type, ..)` | types on whose values calls are spans; see [`macro@trace_charm`] | none |
/// | `skip(method, ..)` | methods that are not traced | none |
/// | `crate = path` | the path of `charm_tracing`, where it has another | `::charm_tracing` |
///
/// A method with an attribute of its own is one span: `#[trace_method]` with its options,
/// `#[trace_function]` as it says.
#[proc_macro_attribute]
pub fn trace_type(options: TokenStream, item: TokenStream) -> TokenStream {
    errors::collected(item.into(), |item, errors| {
        item::block(options.into(), item, errors).map(expand::block)
    })
    .into()
}

/// Traces one method, or says how a method of a traced block is traced.
///
/// ```
/// use charm_tracing::trace_method;
///
/// struct Workload;
///
/// impl Workload {
///     #[trace_method(fields(jobs = jobs.len(), unit.name = unit))]
///     fn update(&self, jobs: &[u8], unit: &str) -> Result<(), std::io::Error> {
///         Ok(())
///     }
/// }
/// ```
///
/// # Options
///
/// | option | value | default |
/// | --- | --- | --- |
/// | `name = ".."` | what stands behind `method call: ` | `Type::method` |
/// | `fields(key = expression, ..)` | attributes of the span, from expressions over the arguments | none |
/// | `err = false` | an `Err` is not recorded | it is |
/// | `skip` | the method is not traced | it is |
/// | `crate = path` | the path of `charm_tracing`, where it has another | the block's, else `::charm_tracing` |
///
/// A field's key is a word, words with dots between them, or text. Its value is a number, a `bool`,
/// text, an `Option` of one, or anything that is `Display`; it is evaluated only where it is
/// recorded.
///
/// A function without `self` in a block that is not traced must mention `Self`; otherwise it is
/// traced by `#[trace_function]`.
#[proc_macro_attribute]
pub fn trace_method(options: TokenStream, item: TokenStream) -> TokenStream {
    errors::collected(item.into(), |item, errors| {
        item::method(options.into(), item, errors).map(expand::function)
    })
    .into()
}

/// Traces one free function.
///
/// ```
/// use charm_tracing::trace_function;
///
/// #[trace_function(name = "render")]
/// fn render_config(jobs: &[u8]) -> Result<String, std::fmt::Error> {
///     Ok(format!("{} jobs", jobs.len()))
/// }
/// ```
///
/// # Options
///
/// Those of [`macro@trace_method`]; `name` stands behind `function call: `.
#[proc_macro_attribute]
pub fn trace_function(options: TokenStream, item: TokenStream) -> TokenStream {
    errors::collected(item.into(), |item, errors| {
        item::function(options.into(), item, errors).map(expand::function)
    })
    .into()
}
