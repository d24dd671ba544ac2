//! What is to be traced → tokens. Decides nothing and cannot fail.
//!
//! The item that was parsed is edited in place: the user's tokens keep their spans, and with them
//! their lints and their errors. What is added resolves at the macro (`Span::mixed_site`), names
//! everything by absolute paths, and is one guard or one call per function: the rest is in the
//! runtime's `__private`.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{
    Expr, FnArg, Ident, ImplItem, ImplItemFn, Pat, PatIdent, PatType, ReturnType, Stmt, Type,
    parse_quote,
};

use crate::args::{MIN_BUFFER_SIZE_MIB, Setting};
use crate::item::{Block, Charm, CharmItem, Function, Plan, Shape, SpanName, mentions};

/// Expands `#[trace_charm]`.
pub(crate) fn charm(charm: Charm) -> TokenStream {
    let configuration = charm_impl(&charm);
    let item = match charm.item {
        CharmItem::Struct(item) => item.into_token_stream(),
        CharmItem::Block(item) => block(item),
    };
    quote!(#item #configuration)
}

/// The `Charm` implementation: what is known before the charm is built, and what it adds.
fn charm_impl(charm: &Charm) -> TokenStream {
    let Charm { root, type_name, generics, self_ty, settings, .. } = charm;
    let (late, early): (Vec<&Setting>, Vec<&Setting>) =
        settings.iter().partition(|setting| mentions(setting.value.to_token_stream(), "self"));
    let early = early.into_iter().map(call);
    let checks = settings.iter().filter_map(check);
    let completion = completion(charm, &late);
    let (impl_generics, _, where_clause) = generics.split_for_impl();
    // A second `#[trace_charm]` on the type is reported on the type.
    let span = self_ty.span();
    let head = quote_spanned!(span=> impl #impl_generics #root::Charm for #self_ty #where_clause);
    quote! {
        #head {
            fn tracing_options() -> #root::Options {
                #(#checks)*
                #root::Options::new(#type_name) #(#early)*
            }
            #completion
        }
    }
}

/// What the built charm adds. The receiver is spelt at the call site, where the user's `self` is.
fn completion(charm: &Charm, late: &[&Setting]) -> Option<TokenStream> {
    if late.is_empty() {
        return None;
    }
    let root = &charm.root;
    let receiver = Ident::new("self", Span::call_site());
    let options = Ident::new("options", Span::mixed_site());
    let late = late.iter().map(|setting| call(setting));
    Some(quote! {
        fn complete_tracing_options(&#receiver, #options: #root::Options) -> #root::Options {
            #options #(#late)*
        }
    })
}

/// The option as a call on `Options`, at the value's place, where a type error belongs.
fn call(setting: &Setting) -> TokenStream {
    let Setting { option, value } = setting;
    let borrow = matches!(option.to_string().as_str(), "tracing_endpoint" | "server_cert")
        .then(|| quote_spanned!(value.span()=> &));
    quote_spanned!(value.span()=> .#option(#borrow #value))
}

/// Checks a buffer size that is a constant when the charm is compiled.
fn check(setting: &Setting) -> Option<TokenStream> {
    let Setting { option, value } = setting;
    let is_constant = matches!(value, Expr::Path(_)) && option == "buffer_max_size_mib";
    let message = format!("`buffer_max_size_mib` is at least {MIN_BUFFER_SIZE_MIB}");
    is_constant.then(|| {
        quote_spanned! {value.span()=>
            const { ::core::assert!(#value >= #MIN_BUFFER_SIZE_MIB, #message) };
        }
    })
}

/// Expands `#[trace_type]`, and the block of `#[trace_charm]`.
pub(crate) fn block(mut block: Block) -> TokenStream {
    for (item, plan) in block.item.items.iter_mut().zip(&block.plans) {
        if let (ImplItem::Fn(method), Some(plan)) = (item, plan) {
            trace(method, plan);
        }
    }
    block.item.into_token_stream()
}

/// Expands `#[trace_method]`.
pub(crate) fn method(function: Function) -> TokenStream {
    self::function(function)
}

/// Expands `#[trace_function]`.
pub(crate) fn function(mut function: Function) -> TokenStream {
    if let Some(plan) = &function.plan {
        trace(&mut function.item, plan);
    }
    function.item.into_token_stream()
}

/// Gives one function its span.
fn trace(function: &mut ImplItemFn, plan: &Plan) {
    match plan.shape {
        Shape::Guarded => guard(function, plan),
        Shape::Observed => observe(function, plan),
    }
}

/// A guard in front of the body, which stays as it is.
fn guard(function: &mut ImplItemFn, plan: &Plan) {
    let span = local("span");
    let enter = enter(&function.sig.ident, plan);
    let fields = fields(plan, &quote_spanned!(mixed()=> &#span));
    let opening = quote_spanned! {mixed()=>
        let #span = #enter;
        #(#fields)*
    };
    function.block.stmts.insert(0, verbatim(opening));
}

/// The body in a closure that takes the function's own patterns, so that what is dropped, when, and
/// what is unused stays as it was; then a look at the result.
fn observe(function: &mut ImplItemFn, plan: &Plan) {
    let root = &plan.root;
    let (span, current, result) = (local("span"), local("current"), local("result"));
    let enter = enter(&function.sig.ident, plan);
    let fields = fields(plan, &current.to_token_stream());
    let lend = (!fields.is_empty()).then(|| quote_spanned!(mixed()=> let #current = &#span;));
    let (arguments, patterns) = handed_on(function);
    let call = format_ident!("call_{}", arguments.len(), span = mixed());
    let output = closure_output(&function.sig.output);
    let body = closure_body(function, &fields);
    let traced = quote_spanned! {mixed()=>
        let #span = #enter;
        #lend
        let #result = #root::__private::#call(#(#arguments,)* move |#(#patterns),*| #output #body);
        #root::__private::Outcome::of(&#result).record(&#span);
        #result
    };
    function.block.stmts = vec![verbatim(traced)];
}

/// The body between the user's own braces, whose edition says when temporaries are dropped. A
/// receiver is captured whole: otherwise its parts could be dropped at different times.
fn closure_body(function: &mut ImplItemFn, fields: &[TokenStream]) -> TokenStream {
    let receiver = function.sig.receiver().map(|receiver| {
        let this = &receiver.self_token;
        quote_spanned!(mixed()=> let _ = &#this;)
    });
    let body = &function.block.stmts;
    let mut tokens = TokenStream::new();
    function.block.brace_token.surround(&mut tokens, |tokens| {
        tokens.extend(quote_spanned!(mixed()=> #receiver #(#fields)* #(#body)*));
    });
    tokens
}

/// Takes the patterns out of the signature: what the function hands on, and what the closure takes
/// it by.
fn handed_on(function: &mut ImplItemFn) -> (Vec<Ident>, Vec<TokenStream>) {
    let typed = function.sig.inputs.iter_mut().filter_map(|input| match input {
        FnArg::Typed(argument) => Some(argument),
        FnArg::Receiver(_) => None,
    });
    typed.enumerate().map(|(index, argument)| hand_on(index, argument)).unzip()
}

fn hand_on(index: usize, argument: &mut PatType) -> (Ident, TokenStream) {
    let name = argument_name(index, &argument.pat);
    let pattern = std::mem::replace(&mut *argument.pat, parse_quote!(#name));
    // `#[expect(unused_variables)]` is about the pattern.
    let (lints, others) =
        std::mem::take(&mut argument.attrs).into_iter().partition::<Vec<_>, _>(is_lint_level);
    argument.attrs = others;
    (name, quote!(#(#lints)* #pattern))
}

/// The argument's own name where it has one, which is what documentation shows. A name that is said
/// to be unused must not be seen used.
fn argument_name(index: usize, pattern: &Pat) -> Ident {
    match pattern {
        Pat::Ident(PatIdent { ident, by_ref: None, subpat: None, .. }) => {
            let name = ident.to_string();
            match name.trim_start_matches('_') {
                "" => local(&format!("argument_{index}")),
                used if used.len() < name.len() => local(used),
                _ => ident.clone(),
            }
        }
        _ => local(&format!("argument_{index}")),
    }
}

fn is_lint_level(attribute: &syn::Attribute) -> bool {
    let levels = ["allow", "deny", "expect", "forbid", "warn"];
    levels.iter().any(|level| attribute.path().is_ident(level))
}

/// The closure's return type: the function's, so that the same things coerce. `impl Trait` cannot be
/// written there and is inferred.
fn closure_output(output: &ReturnType) -> ReturnType {
    struct Inferred;
    impl VisitMut for Inferred {
        fn visit_type_mut(&mut self, ty: &mut Type) {
            if let Type::ImplTrait(_) = ty {
                *ty = parse_quote!(_);
            }
            visit_mut::visit_type_mut(self, ty);
        }
    }
    let mut output = output.clone();
    Inferred.visit_return_type_mut(&mut output);
    output
}

/// The attributes that `fields(..)` sets, each only asked for where it is recorded.
fn fields(plan: &Plan, span: &TokenStream) -> Vec<TokenStream> {
    let root = &plan.root;
    let fields = plan.fields.iter().map(|field| {
        let (key, value) = (&field.key, &field.value);
        let value: Expr = parse_quote!(&#value);
        let value =
            quote_spanned!(field.value.span()=> #root::__private::Field::of(#value).value());
        quote_spanned!(mixed()=> #root::__private::set_field(#span, #key, || #value);)
    });
    fields.collect()
}

/// The call that opens the span.
fn enter(function: &Ident, plan: &Plan) -> TokenStream {
    let root = &plan.root;
    let site = site(function, plan);
    match &plan.name {
        SpanName::Known { .. } => quote_spanned!(mixed()=> #root::__private::enter(#site)),
        SpanName::OfSelf { .. } => {
            // `Self` stands at the function's name, where its absence belongs.
            let this = quote_spanned!(function.span()=> Self);
            quote_spanned!(mixed()=> #root::__private::enter_method::<#this>(#site))
        }
    }
}

/// What is known about a function when it is compiled. Its line is that of its name, not that of the
/// attribute.
fn site(function: &Ident, plan: &Plan) -> TokenStream {
    let root = &plan.root;
    let place = quote_spanned!(function.span()=> ::core::file!(), ::core::line!());
    let (span, path) = match &plan.name {
        SpanName::Known { span, function } => {
            let path = format!("::{function}");
            let path = quote_spanned!(mixed()=> ::core::concat!(::core::module_path!(), #path));
            (span.as_str(), path)
        }
        SpanName::OfSelf { span, method } => {
            (span.as_deref().unwrap_or_default(), method.to_token_stream())
        }
    };
    quote_spanned!(mixed()=> const { &#root::__private::CallSite::new(#span, #path, #place) })
}

/// A name that the user's code cannot see.
fn local(name: &str) -> Ident {
    Ident::new(&format!("__{name}"), mixed())
}

fn mixed() -> Span {
    Span::mixed_site()
}

/// Statements that are not parsed again.
fn verbatim(tokens: TokenStream) -> Stmt {
    Stmt::Expr(Expr::Verbatim(tokens), None)
}
