//! `extra_types(..)`: the calls in a traced body, rewritten so that those on listed types open
//! spans.
//!
//! A call is never taken apart. It comes to stand behind a guard:
//!
//! ```text
//! self.metrics.update(&jobs)   →   { let call = enter_call(type_of_place(&raw const self.metrics), ..); self.metrics.update(&jobs) }
//! self.provider().update()     →   { let call = depth(); through(self.provider(), ..).update() }
//! self.client.get().await      →   awaited(await_call(type_of_place(&raw const self.client), ..), self.client.get()).await
//! ```
//!
//! The block is of the edition of this crate, which must stay 2021: there, what the last expression
//! of a block leaves behind is dropped where it is without the block, at the end of the statement
//! around it. So temporaries, borrows and types stay as they were, and so do lints about unused
//! values and unreachable code.
//!
//! Whether the receiver is of a listed type is found out at run time. What cannot be rewritten
//! without a chance of changing the program's meaning is left alone; see [`Receiver::of`].

mod receiver;
mod std_macros;

use std::mem;

use proc_macro2::{Spacing, Span, TokenStream, TokenTree};
use quote::{quote_spanned, ToTokens};
use syn::parse::{ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::visit_mut::{self, VisitMut};
use syn::{
    Attribute, Block, Expr, ExprAsync, ExprBlock, ExprCall, ExprClosure, ExprConst, ExprPath,
    ExprRepeat, GenericArgument, Ident, Item, Macro, Pat, Stmt, Token, Type, UnOp,
};

use self::receiver::{is_lowercase, Receiver};
use self::std_macros::MacroKind;
use crate::args::Root;

/// The listed types, as a traced body asks for them.
pub(crate) struct ExtraTypes<'a> {
    pub(crate) root: &'a Root,
    pub(crate) types: &'a [Type],
    /// Whether the block's own type may be among them.
    pub(crate) include_self: bool,
}

/// Rewrites the calls in a function's body.
pub(crate) fn rewrite(body: &mut Block, is_async: bool, extra_types: &ExtraTypes<'_>) {
    CallSites { extra_types, can_await: is_async, rewritten: 0 }.visit_block_mut(body);
}

struct CallSites<'a> {
    extra_types: &'a ExtraTypes<'a>,
    /// Whether this is a place where `.await` can stand.
    can_await: bool,
    rewritten: usize,
}

/// Methods that every type has, or may have, from the standard library's traits.
const COMMON_METHODS: [&str; 27] = [
    "as_mut",
    "as_ref",
    "borrow",
    "borrow_mut",
    "clone",
    "clone_from",
    "clone_into",
    "cmp",
    "default",
    "deref",
    "deref_mut",
    "drop",
    "eq",
    "fmt",
    "from",
    "ge",
    "gt",
    "hash",
    "into",
    "le",
    "lt",
    "ne",
    "partial_cmp",
    "to_owned",
    "to_string",
    "try_into",
    "type_id",
];

fn is_common(method: &Ident) -> bool {
    COMMON_METHODS.iter().any(|common| method == common)
}

/// Whether polling may be suspended somewhere in the tokens. A macro that is not of the standard
/// library may hide an `.await`.
fn may_suspend(tokens: TokenStream) -> bool {
    let mut before: Option<Ident> = None;
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => {
            let awaits = ident == "await";
            before = Some(ident);
            awaits
        }
        TokenTree::Punct(punct) => {
            let is_bang = punct.as_char() == '!' && punct.spacing() == Spacing::Alone;
            is_bang && before.take().is_some_and(|name| MacroKind::of(&name).is_none())
        }
        TokenTree::Group(group) => {
            before = None;
            may_suspend(group.stream())
        }
        TokenTree::Literal(_) => {
            before = None;
            false
        }
    })
}

impl CallSites<'_> {
    /// The arguments that every probe takes: the listed types, and the call's place.
    fn asked(&self, method: &Ident) -> TokenStream {
        let root = self.extra_types.root;
        let types = self.extra_types.types;
        let name = method.to_string();
        let name = name.trim_start_matches("r#");
        let place = quote_spanned!(method.span()=> ::core::file!(), ::core::line!());
        quote_spanned! {mixed()=>
            &[#(::core::any::type_name::<#types>),*],
            const { &#root::__private::CallSite::new("", #name, #place) }
        }
    }

    /// The type of a receiver that stays where it is. At the receiver's own place, so that what is
    /// wrong with it is reported there.
    fn type_of(&self, kind: &Receiver, receiver: &Expr) -> TokenStream {
        let root = self.extra_types.root;
        let receiver = bare(receiver);
        let span = first_span(receiver);
        match kind {
            Receiver::Variable | Receiver::OwnSelf => {
                let seen = quote_spanned!(span=> &#receiver);
                quote_spanned!(mixed()=> #root::__private::type_of(#seen))
            }
            Receiver::FieldOfSelf => {
                let seen = quote_spanned!(span=> &raw const #receiver);
                quote_spanned!(mixed()=> #root::__private::type_of_place(#seen))
            }
            Receiver::Named => {
                let seen = Ident::new("__type", mixed());
                quote_spanned! {mixed()=>
                    #root::__private::type_behind(|| {
                        #[allow(static_mut_refs)]
                        let #seen = #root::__private::type_of(&#receiver);
                        #seen
                    })
                }
            }
            _ => {
                let place = self.seen(receiver);
                let root = root.at(span);
                let seen = quote_spanned! {span=>
                    || #root::__private::type_of_place(&raw const #place)
                };
                let root = self.extra_types.root;
                quote_spanned!(mixed()=> #root::__private::type_behind(#seen))
            }
        }
    }

    /// A place as it can be written a second time: what it is indexed by is not moved.
    fn seen(&self, place: &Expr) -> Expr {
        struct Unmoved<'a>(&'a Root);
        impl VisitMut for Unmoved<'_> {
            fn visit_expr_index_mut(&mut self, index: &mut syn::ExprIndex) {
                self.visit_expr_mut(&mut index.expr);
                lend(self.0, &mut index.index);
            }
        }
        fn lend(root: &Root, index: &mut Expr) {
            match index {
                Expr::Binary(binary) => {
                    lend(root, &mut binary.left);
                    lend(root, &mut binary.right);
                }
                Expr::Paren(paren) => lend(root, &mut paren.expr),
                Expr::Path(_) | Expr::Field(_) => {
                    *index = Expr::Verbatim(
                        quote_spanned!(mixed()=> #root::__private::same_type_as(&#index)),
                    );
                }
                _ => {}
            }
        }
        let mut place = place.clone();
        Unmoved(self.extra_types.root).visit_expr_mut(&mut place);
        place
    }

    /// Decides about a call, and then visits what is in it.
    fn begin(&mut self, expression: &mut Expr, how: Await) -> Option<(Ident, Receiver)> {
        let call = Call::of(expression, self.extra_types.types);
        let traced = call.and_then(|call| self.traced(call, how));
        match expression {
            Expr::MethodCall(call) => visit_mut::visit_expr_method_call_mut(self, call),
            Expr::Call(call) => visit_mut::visit_expr_call_mut(self, call),
            _ => {}
        }
        traced
    }

    /// The method and what it is called on, if its span can be opened.
    fn traced(&self, call: Call<'_>, how: Await) -> Option<(Ident, Receiver)> {
        let is_traced = match call.receiver {
            Receiver::Unknown => false,
            Receiver::OwnSelf => self.extra_types.include_self,
            _ => true,
        };
        if !is_traced || is_common(call.method) || !call.attributes.is_empty() {
            return None;
        }
        // A span that is current on a thread must not be when the thread does other things.
        let suspends = self.can_await
            && match (call.receiver.is_passed(), how) {
                (false, Await::Follows) => false,
                (false, Await::No) | (true, Await::Follows) => call.arguments_may_suspend(),
                (true, Await::No) => {
                    call.arguments_may_suspend() || may_suspend(call.place.to_token_stream())
                }
            };
        (!suspends).then(|| (call.method.clone(), call.receiver))
    }

    /// What opens a call's span. A value that it is made on is passed through here.
    fn opening(
        &mut self,
        call: &mut Expr,
        (method, receiver): &(Ident, Receiver),
        how: Await,
    ) -> TokenStream {
        self.rewritten += 1;
        let root = self.extra_types.root;
        let asked = self.asked(method);
        if receiver.is_passed() {
            self.pass_through(receiver_mut(call), receiver, &asked, how);
            return quote_spanned!(mixed()=> #root::__private::depth());
        }
        let place = match bare(receiver_mut(call)) {
            Expr::Reference(reference) => &reference.expr,
            place => place,
        };
        let ty = self.type_of(receiver, place);
        let open = match how {
            Await::No => Ident::new("enter_call", mixed()),
            Await::Follows => Ident::new("await_call", mixed()),
        };
        quote_spanned!(mixed()=> #root::__private::#open(#ty, #asked))
    }

    /// Passes a value through a function that opens the span of the call on it.
    fn pass_through(&self, value: &mut Expr, receiver: &Receiver, asked: &TokenStream, how: Await) {
        let root = self.extra_types.root;
        let suffix = if how == Await::Follows { "_awaited" } else { "" };
        // At the value's own place, so that a lint about the statement is still its author's.
        let through = |name: &str, value: &Expr| {
            let span = first_span(value);
            let root = root.at(span);
            let function = Ident::new(&format!("{name}{suffix}"), span);
            quote_spanned!(span=> #root::__private::#function)
        };
        if !matches!(receiver, Receiver::PartOfValue) {
            let passed = bare(value);
            let through = through("through", passed);
            *value = Expr::Verbatim(quote_spanned!(mixed()=> #through(#passed, #asked)));
            return;
        }
        let base = Ident::new("__value", mixed());
        let seen_base = Expr::Verbatim(quote_spanned!(mixed()=> (*#base)));
        let whole = mem::replace(base_of(value), seen_base);
        let part = self.seen(value);
        let through = through("through_part", &whole);
        let whole = bare(&whole);
        *base_of(value) = Expr::Verbatim(quote_spanned! {mixed()=>
            #through(#whole, |#base| #root::__private::type_of_place(&raw const #part), #asked)
        });
    }

    /// A call, in a block behind a guard.
    fn call(&mut self, expression: &mut Expr) {
        if let Some(traced) = self.begin(expression, Await::No) {
            let opening = self.opening(expression, &traced, Await::No);
            guard(expression, &opening);
        }
    }

    /// A call whose future is awaited at once.
    fn awaited_call(&mut self, future: &mut Expr) {
        let Some(traced) = self.begin(future, Await::Follows) else {
            return;
        };
        let opening = self.opening(future, &traced, Await::Follows);
        let root = self.extra_types.root;
        if traced.1.is_passed() {
            wrap(future, root, "awaited_value", None);
        } else {
            wrap(future, root, "awaited", Some(opening));
        }
    }

    /// A call that is a statement. What attributes it has are the block's.
    fn call_statement(&mut self, expression: &mut Expr) {
        let attributes = attributes_mut(expression).map(mem::take).unwrap_or_default();
        self.call(expression);
        if let Some(none) = attributes_mut(expression) {
            *none = attributes;
        }
    }

    /// The arguments of a macro of the standard library, with their calls rewritten.
    fn macro_arguments(&mut self, kind: MacroKind, tokens: TokenStream) -> Option<TokenStream> {
        let before = self.rewritten;
        let rewritten = match kind {
            MacroKind::Opaque => return None,
            MacroKind::Arguments => self.list(tokens).ok()?,
            MacroKind::Assert => self.assertion(tokens).ok()?,
            MacroKind::Vec => self.vec(&tokens).or_else(|_| self.list(tokens)).ok()?,
            MacroKind::Matches => self.matches(tokens).ok()?,
        };
        (self.rewritten > before).then_some(rewritten)
    }

    fn list(&mut self, tokens: TokenStream) -> syn::Result<TokenStream> {
        let mut arguments = Arguments::parse_terminated.parse2(tokens)?;
        self.visit_all(&mut arguments);
        Ok(arguments.into_token_stream())
    }

    fn visit_all(&mut self, arguments: &mut Arguments) {
        for argument in arguments {
            match argument {
                // `name = value` in a format string's arguments.
                Expr::Assign(named) => self.visit_expr_mut(&mut named.right),
                argument => self.visit_expr_mut(argument),
            }
        }
    }

    /// `assert!` says what it asserts, which must stay what the author wrote.
    fn assertion(&mut self, tokens: TokenStream) -> syn::Result<TokenStream> {
        let mut arguments = Arguments::parse_terminated.parse2(tokens)?;
        let condition = (arguments.len() == 1).then(|| arguments[0].to_token_stream());
        self.visit_all(&mut arguments);
        if let Some(condition) = condition {
            let said = quote_spanned! {mixed()=>
                ::core::concat!("assertion failed: ", ::core::stringify!(#condition))
            };
            arguments.push(Expr::Verbatim(quote_spanned!(mixed()=> "{}")));
            arguments.push(Expr::Verbatim(said));
        }
        Ok(arguments.into_token_stream())
    }

    /// `vec![value; length]`.
    fn vec(&mut self, tokens: &TokenStream) -> syn::Result<TokenStream> {
        let read = |input: ParseStream<'_>| {
            let value: Expr = input.parse()?;
            Ok((value, input.parse::<Token![;]>()?, input.parse::<Expr>()?))
        };
        let (mut value, semicolon, mut length) = read.parse2(tokens.clone())?;
        self.visit_expr_mut(&mut value);
        self.visit_expr_mut(&mut length);
        Ok(quote_spanned!(mixed()=> #value #semicolon #length))
    }

    /// `matches!(value, pattern if guard)`.
    fn matches(&mut self, tokens: TokenStream) -> syn::Result<TokenStream> {
        let read = |input: ParseStream<'_>| {
            let value: Expr = input.parse()?;
            Ok((value, input.parse::<TokenStream>()?))
        };
        let (mut value, rest) = read.parse2(tokens)?;
        self.visit_expr_mut(&mut value);
        Ok(quote_spanned!(mixed()=> #value #rest))
    }

    /// Visits something in which `.await` can stand, or cannot.
    fn visit_in(&mut self, can_await: bool, visit: impl FnOnce(&mut Self)) {
        let outside = mem::replace(&mut self.can_await, can_await);
        visit(self);
        self.can_await = outside;
    }
}

type Arguments = Punctuated<Expr, Token![,]>;

impl VisitMut for CallSites<'_> {
    fn visit_expr_mut(&mut self, expression: &mut Expr) {
        match expression {
            Expr::Call(_) | Expr::MethodCall(_) => self.call(expression),
            Expr::Await(awaited)
                if matches!(*awaited.base, Expr::Call(_) | Expr::MethodCall(_)) =>
            {
                self.awaited_call(&mut awaited.base);
            }
            _ => visit_mut::visit_expr_mut(self, expression),
        }
    }

    fn visit_stmt_mut(&mut self, statement: &mut Stmt) {
        match statement {
            Stmt::Expr(call @ (Expr::Call(_) | Expr::MethodCall(_)), Some(_)) => {
                self.call_statement(call);
            }
            _ => visit_mut::visit_stmt_mut(self, statement),
        }
    }

    fn visit_macro_mut(&mut self, invocation: &mut Macro) {
        let kind = MacroKind::of_path(&invocation.path);
        let rewritten = kind.and_then(|kind| self.macro_arguments(kind, invocation.tokens.clone()));
        if let Some(rewritten) = rewritten {
            invocation.tokens = rewritten;
        }
    }

    fn visit_expr_closure_mut(&mut self, closure: &mut ExprClosure) {
        self.visit_in(closure.asyncness.is_some(), |calls| calls.visit_expr_mut(&mut closure.body));
    }

    fn visit_expr_async_mut(&mut self, block: &mut ExprAsync) {
        self.visit_in(true, |calls| calls.visit_block_mut(&mut block.block));
    }

    fn visit_expr_repeat_mut(&mut self, repeat: &mut ExprRepeat) {
        self.visit_expr_mut(&mut repeat.expr);
    }

    fn visit_pat_mut(&mut self, pattern: &mut Pat) {
        if let Pat::Guard(guarded) = pattern {
            self.visit_expr_mut(&mut guarded.guard);
        }
    }

    // What is computed when the program is compiled, and items with a life of their own.
    fn visit_expr_const_mut(&mut self, _: &mut ExprConst) {}
    fn visit_type_mut(&mut self, _: &mut Type) {}
    fn visit_generic_argument_mut(&mut self, _: &mut GenericArgument) {}
    fn visit_item_mut(&mut self, _: &mut Item) {}
}

/// Whether a call's value is awaited at once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Await {
    No,
    Follows,
}

/// A method call, or `Type::method(receiver, ..)`.
struct Call<'a> {
    method: &'a Ident,
    receiver: Receiver,
    /// What the type of a place is found by.
    place: &'a Expr,
    attributes: &'a [Attribute],
    arguments: &'a Arguments,
}

impl<'a> Call<'a> {
    fn of(expression: &'a Expr, types: &[Type]) -> Option<Self> {
        match expression {
            Expr::MethodCall(call) => Some(Self {
                method: &call.method,
                receiver: Receiver::of(&call.receiver),
                place: &call.receiver,
                attributes: &call.attrs,
                arguments: &call.args,
            }),
            Expr::Call(call) => {
                let (receiver, place) = first_argument(call.args.first()?);
                Some(Self {
                    method: method_of_listed(&call.func, types)?,
                    receiver,
                    place,
                    attributes: &call.attrs,
                    arguments: &call.args,
                })
            }
            _ => None,
        }
    }

    fn arguments_may_suspend(&self) -> bool {
        may_suspend(self.arguments.to_token_stream())
    }
}

/// What `Type::method(&place, ..)` or `Type::method(value, ..)` is called on.
fn first_argument(argument: &Expr) -> (Receiver, &Expr) {
    let Expr::Reference(reference) = bare(argument) else {
        return (Receiver::of(argument), argument);
    };
    let receiver = Receiver::of(&reference.expr);
    let receiver = match receiver {
        // The reference is passed through; what it refers to lives as long as it did.
        Receiver::Value | Receiver::PartOfValue => Receiver::Value,
        place => place,
    };
    (receiver, &reference.expr)
}

/// The method of `Type::method` or `<Type>::method`, if `Type` looks like a listed type.
fn method_of_listed<'a>(function: &'a Expr, types: &[Type]) -> Option<&'a Ident> {
    let Expr::Path(ExprPath { qself, path, .. }) = function else {
        return None;
    };
    let method = &path.segments.last()?.ident;
    let owner = match qself {
        Some(qself) => last_word(&qself.ty),
        None => path.segments.iter().rev().nth(1).map(|segment| &segment.ident),
    }?;
    let is_listed = types.iter().any(|listed| last_word(listed) == Some(owner));
    (is_listed && is_lowercase(method)).then_some(method)
}

fn last_word(ty: &Type) -> Option<&Ident> {
    match ty {
        Type::Group(group) => last_word(&group.elem),
        Type::Paren(paren) => last_word(&paren.elem),
        Type::Path(path) => path.path.segments.last().map(|segment| &segment.ident),
        _ => None,
    }
}

/// What a call is made on, to be replaced by what passes it through.
fn receiver_mut(call: &mut Expr) -> &mut Expr {
    match call {
        Expr::MethodCall(call) => &mut call.receiver,
        Expr::Call(call) => &mut call.args[0],
        other => other,
    }
}

fn attributes_mut(call: &mut Expr) -> Option<&mut Vec<Attribute>> {
    match call {
        Expr::MethodCall(call) => Some(&mut call.attrs),
        Expr::Call(call) => Some(&mut call.attrs),
        Expr::Block(call) => Some(&mut call.attrs),
        _ => None,
    }
}

/// The expression without the parentheses around it.
fn bare(expression: &Expr) -> &Expr {
    match expression {
        Expr::Paren(paren) => bare(&paren.expr),
        Expr::Group(group) => bare(&group.expr),
        other => other,
    }
}

/// The value that an expression is a part of.
fn base_of(part: &mut Expr) -> &mut Expr {
    if !is_part(part) {
        return part;
    }
    match part {
        Expr::Field(field) => base_of(&mut field.base),
        Expr::Group(group) => base_of(&mut group.expr),
        Expr::Index(index) => base_of(&mut index.expr),
        Expr::Paren(paren) => base_of(&mut paren.expr),
        Expr::Unary(deref) => base_of(&mut deref.expr),
        value => value,
    }
}

fn is_part(expression: &Expr) -> bool {
    match bare(expression) {
        Expr::Field(_) | Expr::Index(_) => true,
        Expr::Unary(unary) => matches!(unary.op, UnOp::Deref(_)),
        _ => false,
    }
}

/// Where an expression begins.
fn first_span(expression: &Expr) -> Span {
    let first = expression.to_token_stream().into_iter().next();
    first.map_or_else(Span::call_site, |token| token.span())
}

/// Puts a call in a block, behind the guard that `opening` makes. The block is at the call's place,
/// where what can be said about it belongs, but of this crate's edition.
fn guard(call: &mut Expr, opening: &TokenStream) {
    let here = mixed().located_at(first_span(call));
    let guard = Ident::new("__call", here);
    let guard = quote_spanned!(here=> let #guard = #opening;);
    let call_itself = mem::replace(call, Expr::Verbatim(TokenStream::new()));
    let stmts = vec![Stmt::Expr(Expr::Verbatim(guard), None), Stmt::Expr(call_itself, None)];
    let block = Block { brace_token: syn::token::Brace(here), stmts };
    *call = Expr::Block(ExprBlock { attrs: Vec::new(), label: None, block });
}

/// Puts a future in the arguments of `function`, behind what `opening` makes. At the future's
/// place, so that a lint about the statement is still its author's.
fn wrap(future: &mut Expr, root: &Root, function: &str, opening: Option<TokenStream>) {
    let span = first_span(future);
    let call = mem::replace(future, Expr::Verbatim(TokenStream::new()));
    let mut args = Arguments::new();
    args.extend(opening.map(Expr::Verbatim));
    args.push(call);
    let path = root.function(function, span);
    *future = Expr::Call(ExprCall {
        attrs: Vec::new(),
        func: Box::new(Expr::Path(ExprPath { attrs: Vec::new(), qself: None, path })),
        paren_token: syn::token::Paren(span),
        args,
    });
}

fn mixed() -> Span {
    Span::mixed_site()
}
