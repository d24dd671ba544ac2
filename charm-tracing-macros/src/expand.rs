//! What is to be traced → tokens. Decides nothing and cannot fail.
//!
//! The item that was parsed is edited in place: the user's tokens keep their spans, and with them
//! their lints and their errors. What is added resolves at the macro (`Span::mixed_site`), names
//! everything by absolute paths, and is one guard or one call per function: the rest is in the
//! runtime's `__private`.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned, ToTokens, TokenStreamExt};
use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{
    parse_quote, parse_quote_spanned, Block, Expr, FnArg, Ident, ImplItem, ImplItemFn, Pat,
    PatIdent, PatType, ReturnType, Signature, Stmt, Type,
};

use crate::args::{Err, Setting, BUFFER_SIZE_MIB};
use crate::call_sites::{self, ExtraTypes};
use crate::item::{
    self, is_conditional, mentions, Charm, CharmItem, Function, FutureType, Plan, Shape, SpanName,
};

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
    let buffer =
        (!late.iter().copied().any(says_what_is_buffered)).then(|| quote!(.naming_the_buffer()));
    let checks = settings.iter().filter_map(check);
    let completion = completion(charm, &late);
    let (impl_generics, _, where_clause) = generics.split_for_impl();
    // A second `#[trace_charm]` on the type is reported on the type.
    let span = self_ty.span();
    let charm = root.at(span);
    quote_spanned! {span=>
        impl #impl_generics #charm::Charm for #self_ty #where_clause {
            fn tracing_options() -> #charm::Options {
                #(#checks)*
                #charm::Options::new(#type_name) #(#early)* #buffer
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

/// Whether spans cannot go to the buffer before this is known: where that is, and whom they tell
/// of.
fn says_what_is_buffered(setting: &Setting) -> bool {
    let option = setting.option.to_string();
    option == "service_name" || option.starts_with("buffer_")
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
    let (least, most) = (BUFFER_SIZE_MIB.start(), BUFFER_SIZE_MIB.end());
    let too_small = format!("`buffer_max_size_mib` is at least {least}");
    let too_large = format!("`buffer_max_size_mib` is at most {most}");
    is_constant.then(|| {
        quote_spanned! {value.span()=>
            const {
                ::core::assert!(#value >= #least, #too_small);
                ::core::assert!(#value <= #most, #too_large);
            };
        }
    })
}

/// Expands `#[trace_type]`, and the block of `#[trace_charm]`.
pub(crate) fn block(mut block: item::Block) -> TokenStream {
    let extra_types =
        ExtraTypes { root: &block.root, types: &block.extra_types, include_self: block.lists_self };
    for (item, plan) in block.item.items.iter_mut().zip(&block.plans) {
        if let (ImplItem::Fn(method), Some(plan)) = (item, plan) {
            if !extra_types.types.is_empty() {
                let is_async = method.sig.asyncness.is_some();
                call_sites::rewrite(&mut method.block, is_async, &extra_types);
            }
            trace(method, plan);
        }
    }
    block.item.into_token_stream()
}

/// Expands `#[trace_method]` and `#[trace_function]`.
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
        Shape::Async(err) => cover(function, plan, err),
        Shape::Future(ty, err) => cover_returned(function, plan, ty, err),
    }
}

/// A guard in front of the body, which stays as it is.
fn guard(function: &mut ImplItemFn, plan: &Plan) {
    let span = local("span");
    let enter = start(&function.sig.ident, plan, "enter");
    let fields = fields(plan, &quote_spanned!(mixed()=> &#span));
    let opening = quote_spanned! {mixed()=>
        let #span = #enter;
        #(#fields)*
    };
    let start = leading_items(&function.block);
    function.block.stmts.insert(start, verbatim(opening));
}

/// The body in a closure, then a look at the result.
fn observe(function: &mut ImplItemFn, plan: &Plan) {
    let root = &plan.root;
    let (span, current, result) = (local("span"), local("current"), local("result"));
    let enter = start(&function.sig.ident, plan, "enter");
    let fields = fields(plan, &current.to_token_stream());
    let lend = (!fields.is_empty()).then(|| quote_spanned!(mixed()=> let #current = &#span;));
    let call = call_in_closure(function, plan, &fields);
    let traced = quote_spanned! {mixed()=>
        let #span = #enter;
        #lend
        let #result = #call;
        #root::__private::Outcome::of(&#result).record(&#span);
        #result
    };
    function.block.stmts = vec![verbatim(traced)];
}

/// The body in an `async` block, polled in the span, then a look at the result.
fn cover(function: &mut ImplItemFn, plan: &Plan, err: Err) {
    let (span, current) = (local("span"), local("current"));
    let open = start(&function.sig.ident, plan, "open");
    let fields = fields(plan, &current.to_token_stream());
    let lend = (!fields.is_empty()).then(|| quote_spanned!(mixed()=> let #current = &#span;));
    let body = async_body(function, plan, &fields);
    let polled = match &function.sig.output {
        ReturnType::Type(_, ty) if is_never(ty) => {
            let polled = polled(plan, Err::Ignored, &span, &body);
            quote_spanned!(mixed()=> match #polled {})
        }
        _ => polled(plan, err, &span, &body),
    };
    let traced = quote_spanned! {mixed()=>
        let #span = #open;
        #lend
        #polled
    };
    function.block.stmts = vec![verbatim(traced)];
}

/// The body in a closure, then the future that it returns inside one that polls it in the span.
fn cover_returned(function: &mut ImplItemFn, plan: &Plan, ty: FutureType, err: Err) {
    let root = &plan.root;
    let (span, current, future) = (local("span"), local("current"), local("future"));
    let collected = local("fields");
    let open = start(&function.sig.ident, plan, "open");
    let fields = fields(plan, &current.to_token_stream());
    let (collect, set) = if fields.is_empty() {
        (None, None)
    } else {
        (
            Some(quote_spanned! {mixed()=>
                let #collected = #root::__private::CollectedFields::new();
                let #current = &#collected;
            }),
            Some(quote_spanned!(mixed()=> #collected.set_on(&#span);)),
        )
    };
    let call = call_in_closure(function, plan, &fields);
    let polled = polled(plan, err, &span, &future.to_token_stream());
    let covered = quote_spanned! {mixed()=>
        async move {
            let #span = #open;
            #set
            #polled
        }
    };
    let covered = match ty {
        FutureType::Plain => covered,
        FutureType::Boxed => quote_spanned!(mixed()=> ::std::boxed::Box::pin(#covered)),
    };
    let traced = quote_spanned! {mixed()=>
        #collect
        let #future = #call;
        #covered
    };
    function.block.stmts = vec![verbatim(traced)];
}

/// Polls a future in its span, and looks at the result if that is wanted.
fn polled(plan: &Plan, err: Err, span: &Ident, future: &TokenStream) -> TokenStream {
    let root = &plan.root;
    let result = local("result");
    let cover = quote_spanned!(mixed()=> #root::__private::cover(&#span, #future).await);
    match err {
        Err::Ignored => cover,
        Err::Recorded => quote_spanned! {mixed()=>
            let #result = #cover;
            #root::__private::Outcome::of(&#result).record(&#span);
            #result
        },
    }
}

/// The body as an `async` block that does with the arguments what an `async fn` does: each is moved
/// in and bound in its turn, and what the body's last expression leaves is dropped before them.
fn async_body(function: &mut ImplItemFn, plan: &Plan, fields: &[TokenStream]) -> TokenStream {
    let receiver = whole_receiver(&function.sig);
    let arguments = arguments(function);
    let arguments = arguments.iter().map(|(name, pattern)| {
        if is_simple(pattern) {
            return quote_spanned!(mixed()=> let #pattern = #name;);
        }
        let argument = local("argument");
        quote_spanned!(mixed()=> let #argument = #name; let #pattern = #argument;)
    });
    let output = async_output(&function.sig.output);
    // At the type, which is where the compiler then says that it has it from.
    let root = plan.root.at(output.span());
    let typed = quote_spanned! {output.span()=>
        if false {
            return #root::__private::unreachable::<#output>();
        }
    };
    let body = braced(&function.block, quote_spanned!(mixed()=> #typed #(#fields)*));
    let value = local("value");
    // The body may never end, which is no news to its author.
    quote_spanned! {mixed()=>
        async move {
            #receiver
            #(#arguments)*
            let #value: #output = #body;
            #[allow(unreachable_code)]
            return #value;
        }
    }
}

/// What an `async` block is to return. `!` cannot be written there; the type without values can.
fn async_output(output: &ReturnType) -> Type {
    match output {
        ReturnType::Default => parse_quote!(()),
        ReturnType::Type(_, ty) if is_never(ty) => parse_quote!(::core::convert::Infallible),
        ReturnType::Type(_, ty) => inferred(ty),
    }
}

fn is_never(ty: &Type) -> bool {
    matches!(ty, Type::Never(_))
}

/// Calls the body as a closure that takes the function's own patterns, so that what is dropped,
/// when, and what is unused stays as it was.
fn call_in_closure(function: &mut ImplItemFn, plan: &Plan, fields: &[TokenStream]) -> TokenStream {
    let root = &plan.root;
    let receiver = whole_receiver(&function.sig);
    let (arguments, patterns): (Vec<Ident>, Vec<Pattern>) = arguments(function).into_iter().unzip();
    let call = format_ident!("call_{}", arguments.len(), span = mixed());
    let output = closure_output(&function.sig.output);
    let body = braced(&function.block, quote_spanned!(mixed()=> #receiver #(#fields)*));
    quote_spanned! {mixed()=>
        #root::__private::#call(#(#arguments,)* move |#(#patterns),*| #output #body)
    }
}

/// Captures a receiver whole: otherwise its parts could be dropped at different times.
fn whole_receiver(sig: &Signature) -> Option<TokenStream> {
    sig.receiver().map(|receiver| {
        let this = &receiver.self_token;
        quote_spanned!(mixed()=> let _ = &#this;)
    })
}

/// The body, with something in front, between the user's own braces, whose edition says when
/// temporaries are dropped.
fn braced(block: &Block, opening: TokenStream) -> TokenStream {
    let (items, statements) = block.stmts.split_at(leading_items(block));
    let mut tokens = TokenStream::new();
    block.brace_token.surround(&mut tokens, |tokens| {
        tokens.append_all(items);
        tokens.extend(opening);
        tokens.append_all(statements);
    });
    tokens
}

/// How many items the body begins with. They stay in front: an item behind a statement is a lint.
fn leading_items(block: &Block) -> usize {
    block.stmts.iter().take_while(|statement| matches!(statement, Stmt::Item(_))).count()
}

/// A pattern of the signature, with the attributes that are about it.
struct Pattern(Vec<syn::Attribute>, Pat);

impl ToTokens for Pattern {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.append_all(&self.0);
        self.1.to_tokens(tokens);
    }
}

/// Takes the patterns out of the signature: what the function hands on, and what the body takes it
/// by. Arguments that are there only under some `#[cfg]` stay where they are.
fn arguments(function: &mut ImplItemFn) -> Vec<(Ident, Pattern)> {
    let unconditional = function.sig.inputs.iter_mut().filter(|input| !is_conditional(input));
    let typed = unconditional.filter_map(|input| match input {
        FnArg::Typed(argument) => Some(argument),
        FnArg::Receiver(_) => None,
    });
    typed.enumerate().map(|(index, argument)| hand_on(index, argument)).collect()
}

fn hand_on(index: usize, argument: &mut PatType) -> (Ident, Pattern) {
    let name = argument_name(index, &argument.pat);
    let pattern = std::mem::replace(&mut *argument.pat, parse_quote!(#name));
    // `#[expect(unused_variables)]` is about the pattern.
    let (lints, others) =
        std::mem::take(&mut argument.attrs).into_iter().partition::<Vec<_>, _>(is_lint_level);
    argument.attrs = others;
    (name, Pattern(lints, pattern))
}

/// The argument's own name where it has one, which is what documentation shows. A name that is said
/// to be unused must not be seen used, so it loses its underscore; nothing else of ours has none.
fn argument_name(index: usize, pattern: &Pat) -> Ident {
    let unnamed = || local(&format!("argument_{index}"));
    let Pat::Ident(PatIdent { ident, by_ref: None, subpat: None, .. }) = pattern else {
        return unnamed();
    };
    let name = ident.to_string();
    match name.strip_prefix('_') {
        None => ident.clone(),
        Some(used) => match syn::parse_str::<Ident>(used) {
            Ok(used) if !name.starts_with("__") => Ident::new(&used.to_string(), mixed()),
            _ => unnamed(),
        },
    }
}

fn is_lint_level(attribute: &syn::Attribute) -> bool {
    let levels = ["allow", "deny", "expect", "forbid", "warn"];
    levels.iter().any(|level| attribute.path().is_ident(level))
}

/// The closure's return type: the function's, so that the same things coerce.
fn closure_output(output: &ReturnType) -> ReturnType {
    match output {
        ReturnType::Default => ReturnType::Default,
        ReturnType::Type(arrow, ty) => ReturnType::Type(*arrow, Box::new(inferred(ty))),
    }
}

/// A return type as it can be written in a body: without `impl Trait`, which is inferred.
fn inferred(ty: &Type) -> Type {
    struct Inferred;
    impl VisitMut for Inferred {
        fn visit_type_mut(&mut self, ty: &mut Type) {
            if let Type::ImplTrait(_) = ty {
                *ty = parse_quote!(_);
            }
            visit_mut::visit_type_mut(self, ty);
        }
    }
    let mut ty = ty.clone();
    Inferred.visit_type_mut(&mut ty);
    ty
}

/// The attributes that `fields(..)` sets, each only asked for where it is recorded.
fn fields(plan: &Plan, span: &TokenStream) -> Vec<TokenStream> {
    let root = &plan.root;
    let fields = plan.fields.iter().map(|field| {
        let (key, value) = (&field.key, &field.value);
        // At the value, where a type that cannot be one is reported.
        let here = value.span();
        let charm = root.at(here);
        let value: Expr = parse_quote_spanned!(here=> &#value);
        let value = quote_spanned!(here=> #charm::__private::Field::of(#value).value());
        quote_spanned!(mixed()=> #root::__private::set_field(#span, #key, || #value);)
    });
    fields.collect()
}

/// The call that starts the span: `enter` or `open`, or the form of it for methods of a type that
/// the attribute cannot see.
fn start(function: &Ident, plan: &Plan, start: &str) -> TokenStream {
    let root = &plan.root;
    let site = site(function, plan);
    match &plan.name {
        SpanName::Known { .. } => {
            let start = Ident::new(start, mixed());
            quote_spanned!(mixed()=> #root::__private::#start(#site))
        }
        SpanName::OfSelf { .. } => {
            let start = format_ident!("{start}_method", span = mixed());
            // `Self` stands at the function's name, where its absence belongs.
            let this = quote_spanned!(function.span()=> Self);
            quote_spanned!(mixed()=> #root::__private::#start::<#this>(#site))
        }
    }
}

/// What is known about a function when it is compiled. Its line is that of its name, not that of
/// the attribute.
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

/// Whether an `async fn` binds a pattern at once.
fn is_simple(pattern: &Pattern) -> bool {
    matches!(&pattern.1, Pat::Ident(PatIdent { by_ref: None, subpat: None, .. }))
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
