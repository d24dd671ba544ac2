//! The attributes of charm-tracing. Use them through that crate.

mod args;
mod call_sites;
mod errors;
mod expand;
mod item;

use proc_macro::TokenStream;

/// Traces a charm.
#[proc_macro_attribute]
pub fn trace_charm(options: TokenStream, item: TokenStream) -> TokenStream {
    errors::collected(item.into(), |item, errors| {
        item::charm(options.into(), item, errors).map(expand::charm)
    })
    .into()
}

/// Traces every method of an `impl` block.
#[proc_macro_attribute]
pub fn trace_type(options: TokenStream, item: TokenStream) -> TokenStream {
    errors::collected(item.into(), |item, errors| {
        item::block(options.into(), item, errors).map(expand::block)
    })
    .into()
}

/// Traces one method.
#[proc_macro_attribute]
pub fn trace_method(options: TokenStream, item: TokenStream) -> TokenStream {
    errors::collected(item.into(), |item, errors| {
        item::method(options.into(), item, errors).map(expand::method)
    })
    .into()
}

/// Traces one free function.
#[proc_macro_attribute]
pub fn trace_function(options: TokenStream, item: TokenStream) -> TokenStream {
    errors::collected(item.into(), |item, errors| {
        item::function(options.into(), item, errors).map(expand::function)
    })
    .into()
}
