//! Item → what is to be traced: can it be, and as what?
//!
//! Takes the options and the item apart, consumes the attributes that belong to us, and decides for
//! every function how it is traced ([`Plan`]). What comes out of here expands without a question.

use std::mem;

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::punctuated::Punctuated;
use syn::{
    parse_quote, parse_quote_spanned, Expr, FnArg, GenericArgument, Generics, Ident, ImplItem,
    ImplItemFn, Item, ItemImpl, ItemStruct, LitStr, Meta, PatType, PathArguments, PathSegment,
    Receiver, ReturnType, Signature, Token, TraitItemFn, Type, TypeParamBound,
};

use crate::args::{Attribute, BlockArgs, CharmArgs, Err, Field, FunctionArgs, Root, Setting};
use crate::errors::{suggestion, Errors};

/// A charm: its configuration, and its traced methods if they are here.
pub(crate) struct Charm {
    pub(crate) root: Root,
    pub(crate) type_name: String,
    pub(crate) generics: Generics,
    pub(crate) self_ty: Type,
    pub(crate) settings: Vec<Setting>,
    pub(crate) item: CharmItem,
}

pub(crate) enum CharmItem {
    Struct(ItemStruct),
    Block(Block),
}

/// A traced `impl` block.
pub(crate) struct Block {
    pub(crate) root: Root,
    pub(crate) item: ItemImpl,
    /// How each of `item.items` is traced; `None`: not at all.
    pub(crate) plans: Vec<Option<Plan>>,
    pub(crate) extra_types: Vec<Type>,
    /// Whether the block's own type may be among `extra_types`.
    pub(crate) lists_self: bool,
}

/// A function with its own attribute.
pub(crate) struct Function {
    pub(crate) item: ImplItemFn,
    pub(crate) plan: Option<Plan>,
}

/// How one function is traced.
pub(crate) struct Plan {
    pub(crate) root: Root,
    pub(crate) name: SpanName,
    pub(crate) shape: Shape,
    pub(crate) fields: Vec<Field>,
}

/// What a span is called, and the function that it stands for.
pub(crate) enum SpanName {
    Known {
        span: String,
        function: String,
    },
    /// A method of a type that the attribute cannot see.
    OfSelf {
        span: Option<String>,
        method: String,
    },
}

/// How a function runs, and with that how its span does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A guard in front of the body: it cannot return an `Err`, or must not be asked.
    Guarded,
    /// The body in a closure, whose result is looked at.
    Observed,
    /// An `async fn`.
    Async(Err),
    /// A function that returns a future.
    Future(FutureType, Err),
}

/// How a future is returned.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum FutureType {
    Plain,
    Boxed,
}

/// Reads the item of `#[trace_charm]`.
pub(crate) fn charm(
    options: TokenStream,
    item: &TokenStream,
    errors: &mut Errors,
) -> Option<Charm> {
    let args = CharmArgs::parse(options, errors);
    match read(Attribute::Charm, item, errors)? {
        Item::Impl(item) => Some(charm_block(args, item, errors)),
        Item::Struct(item) => Some(charm_struct(args, item, errors)),
        other => {
            wrong_item(Attribute::Charm, &other, errors);
            None
        }
    }
}

fn charm_block(args: CharmArgs, mut item: ItemImpl, errors: &mut Errors) -> Charm {
    if let Some((path, _)) = &item.trait_ {
        errors.on(
            path,
            "`#[trace_charm]` goes on the charm's own `impl` block; trace a trait's with `#[trace_type]`",
        );
    }
    let settings =
        args.settings.into_iter().map(|setting| resolved_in_block(setting, &item)).collect();
    reject_second_attribute(Attribute::Charm, &mut item.attrs, errors);
    Charm {
        root: args.block.root.clone(),
        type_name: type_name(&item.self_ty),
        generics: item.generics.clone(),
        self_ty: item.self_ty.as_ref().clone(),
        settings,
        item: CharmItem::Block(traced_block(args.block, item, errors)),
    }
}

/// A bare name is a method if the block has one of that name, else a field.
fn resolved_in_block(setting: Setting, block: &ItemImpl) -> Setting {
    let Some(name) = bare_name(&setting) else {
        return setting;
    };
    let is_method = methods(block).any(|method| method.sig.ident == *name);
    let value = if is_method {
        parse_quote_spanned!(name.span()=> self.#name())
    } else {
        parse_quote_spanned!(name.span()=> self.#name)
    };
    Setting { value, ..setting }
}

/// The name that stands alone where a field or a method of the charm is wanted.
fn bare_name(setting: &Setting) -> Option<&Ident> {
    let is_place = setting.option == "tracing_endpoint" || setting.option == "server_cert";
    match &setting.value {
        Expr::Path(path) if is_place => path.path.get_ident(),
        _ => None,
    }
}

fn charm_struct(args: CharmArgs, mut item: ItemStruct, errors: &mut Errors) -> Charm {
    for method in &args.block.skip {
        errors.on(
            method,
            "a struct has no methods; write `#[trace_type(skip(..))]` on the `impl` block",
        );
    }
    for ty in &args.block.extra_types {
        errors.on(
            ty,
            "a struct makes no calls; write `#[trace_type(extra_types(..))]` on the `impl` block",
        );
    }
    let settings = args
        .settings
        .into_iter()
        .filter_map(|setting| resolved_in_struct(setting, &item, errors))
        .collect();
    reject_second_attribute(Attribute::Charm, &mut item.attrs, errors);
    let ident = &item.ident;
    let (_, arguments, _) = item.generics.split_for_impl();
    Charm {
        root: args.block.root,
        type_name: ident.to_string(),
        self_ty: parse_quote!(#ident #arguments),
        generics: item.generics.clone(),
        settings,
        item: CharmItem::Struct(item),
    }
}

fn resolved_in_struct(setting: Setting, item: &ItemStruct, errors: &mut Errors) -> Option<Setting> {
    let Some(name) = bare_name(&setting) else {
        return Some(setting);
    };
    let fields: Vec<String> =
        item.fields.iter().filter_map(|field| field.ident.as_ref().map(Ident::to_string)).collect();
    if !fields.iter().any(|field| name == field) {
        let advice = suggestion(&name.to_string(), fields.iter().map(String::as_str));
        let charm = &item.ident;
        errors.on(
            name,
            format!(
                "`{charm}` has no field `{name}`; {advice} (a method is written `self.{name}()`)"
            ),
        );
        return None;
    }
    let value = parse_quote_spanned!(name.span()=> self.#name);
    Some(Setting { value, ..setting })
}

/// Reads the item of `#[trace_type]`.
pub(crate) fn block(
    options: TokenStream,
    item: &TokenStream,
    errors: &mut Errors,
) -> Option<Block> {
    let args = BlockArgs::parse(options, errors);
    match read(Attribute::Type, item, errors)? {
        Item::Impl(mut item) => {
            reject_second_attribute(Attribute::Type, &mut item.attrs, errors);
            Some(traced_block(args, item, errors))
        }
        other => {
            wrong_item(Attribute::Type, &other, errors);
            None
        }
    }
}

fn traced_block(args: BlockArgs, mut item: ItemImpl, errors: &mut Errors) -> Block {
    check_skipped(&args.skip, &item, errors);
    let owner = Owner::of(&args, &item);
    let plans = item
        .items
        .iter_mut()
        .map(|item| match item {
            ImplItem::Fn(method) => planned_in_block(&args, &owner, method, errors),
            _ => None,
        })
        .collect();
    let lists_self = args.extra_types.iter().any(|listed| type_name(listed) == owner.path);
    Block { root: args.root, item, plans, extra_types: args.extra_types, lists_self }
}

/// The type whose methods are traced.
struct Owner {
    /// As spans show it.
    shown: String,
    /// As it is written in Rust.
    path: String,
}

impl Owner {
    fn of(args: &BlockArgs, item: &ItemImpl) -> Self {
        let path = type_name(&item.self_ty);
        let shown = args.name.as_ref().map(LitStr::value);
        Self { shown: shown.unwrap_or_else(|| path.clone()), path }
    }
}

fn check_skipped(skipped: &[Ident], item: &ItemImpl, errors: &mut Errors) {
    let names: Vec<String> = methods(item).map(|method| method.sig.ident.to_string()).collect();
    for name in skipped {
        if !names.iter().any(|known| name == known) {
            let advice = suggestion(&name.to_string(), names.iter().map(String::as_str));
            errors.on(name, format!("this block has no method `{name}`; {advice}"));
        }
    }
}

fn methods(item: &ItemImpl) -> impl Iterator<Item = &ImplItemFn> {
    item.items.iter().filter_map(|item| match item {
        ImplItem::Fn(method) => Some(method),
        _ => None,
    })
}

/// A method of a traced block: with its own `#[trace_method]` as that says, with
/// `#[trace_function]` left to it.
fn planned_in_block(
    block: &BlockArgs,
    owner: &Owner,
    method: &mut ImplItemFn,
    errors: &mut Errors,
) -> Option<Plan> {
    if has_attribute(&method.attrs, Attribute::Function) {
        return None;
    }
    let own = spend_attribute(&mut method.attrs, Attribute::Method);
    let is_explicit = own.is_some();
    let args = own.map_or_else(FunctionArgs::default, |options| {
        FunctionArgs::parse(Attribute::Method, options, errors)
    });
    if args.skip || block.skip.contains(&method.sig.ident) {
        return None;
    }
    if is_explicit {
        check_traceable(Attribute::Method, method, errors)?;
    }
    let name = match &args.name {
        Some(name) => name.value(),
        None => format!("{}::{}", owner.shown, method.sig.ident),
    };
    let name = SpanName::Known {
        span: format!("method call: {name}"),
        function: format!("{}::{}", owner.path, method.sig.ident),
    };
    Plan::of(method, args, name, &block.root)
}

/// Reads the item of `#[trace_method]`.
pub(crate) fn method(
    options: TokenStream,
    item: &TokenStream,
    errors: &mut Errors,
) -> Option<Function> {
    let args = FunctionArgs::parse(Attribute::Method, options, errors);
    let mut item = read_function(Attribute::Method, item, errors)?;
    drop_repeated(Attribute::Method, &mut item.attrs, errors);
    if args.skip {
        return Some(Function { item, plan: None });
    }
    let is_method = item.sig.receiver().is_some() || mentions(item.to_token_stream(), "Self");
    if !is_method {
        errors.on(
            &item.sig.ident,
            "this function has no `self`; trace it with `#[trace_function]`, or put `#[trace_type]` on its `impl` block",
        );
    }
    if !is_method || check_traceable(Attribute::Method, &item, errors).is_none() {
        return Some(Function { item, plan: None });
    }
    let name = SpanName::OfSelf {
        span: args.name.as_ref().map(|name| format!("method call: {}", name.value())),
        method: item.sig.ident.to_string(),
    };
    let plan = Plan::of(&item, args, name, &Root::default());
    Some(Function { item, plan })
}

/// Reads the item of `#[trace_function]`.
pub(crate) fn function(
    options: TokenStream,
    item: &TokenStream,
    errors: &mut Errors,
) -> Option<Function> {
    let args = FunctionArgs::parse(Attribute::Function, options, errors);
    let mut item = read_function(Attribute::Function, item, errors)?;
    drop_repeated(Attribute::Function, &mut item.attrs, errors);
    if let Some(receiver) = item.sig.receiver() {
        errors.on(receiver, "this function is a method; trace it with `#[trace_method]`");
        return Some(Function { item, plan: None });
    }
    if check_traceable(Attribute::Function, &item, errors).is_none() || args.skip {
        return Some(Function { item, plan: None });
    }
    let function = item.sig.ident.to_string();
    let name = args.name.as_ref().map_or_else(|| function.clone(), LitStr::value);
    let name = SpanName::Known { span: format!("function call: {name}"), function };
    let plan = Plan::of(&item, args, name, &Root::default());
    Some(Function { item, plan })
}

/// Refuses what no attribute can trace, where it was asked for by name. In a traced `impl` block
/// such functions are left alone without a word.
fn check_traceable(attribute: Attribute, item: &ImplItemFn, errors: &mut Errors) -> Option<()> {
    if let Some(constness) = &item.sig.constness {
        errors.on(
            constness,
            format!("a `const fn` cannot open a span; remove `const` or {attribute}"),
        );
        return None;
    }
    Some(())
}

impl Plan {
    /// `None` where a function cannot be traced at all.
    fn of(item: &ImplItemFn, args: FunctionArgs, name: SpanName, root: &Root) -> Option<Self> {
        let is_naked = item.attrs.iter().any(|attribute| is_named(attribute, "naked"));
        let is_compiled_out = !cfg!(feature = "enabled");
        if item.sig.constness.is_some() || is_naked || is_compiled_out {
            return None;
        }
        Some(Self {
            root: args.root.unwrap_or_else(|| root.clone()),
            name,
            shape: Shape::of(item, args.err),
            fields: args.fields,
        })
    }
}

impl Shape {
    fn of(item: &ImplItemFn, err: Err) -> Self {
        if item.sig.asyncness.is_some() {
            return Self::Async(err);
        }
        let ReturnType::Type(_, ty) = &item.sig.output else {
            return Self::Guarded;
        };
        // A closure would change what `Location::caller()` says.
        let is_caller_tracked =
            item.attrs.iter().any(|attribute| is_named(attribute, "track_caller"));
        if is_caller_tracked || !takes_plain_arguments(&item.sig) {
            return Self::Guarded;
        }
        match future_type(ty) {
            Some(future) => Self::Future(future, err),
            None if err == Err::Recorded && may_be_result(ty) => Self::Observed,
            None => Self::Guarded,
        }
    }
}

/// Whether a type is a future that can be replaced by another: an `impl Future`, a boxed `dyn
/// Future`.
fn future_type(ty: &Type) -> Option<FutureType> {
    match ty {
        Type::Group(group) => future_type(&group.elem),
        Type::Paren(paren) => future_type(&paren.elem),
        Type::ImplTrait(opaque) => opaque_future(&opaque.bounds),
        Type::Path(path) if path.qself.is_none() => {
            let last = path.path.segments.last()?;
            let is_boxed = last.ident == "BoxFuture" || last.ident == "LocalBoxFuture";
            (is_boxed || is_pinned_box(last)).then_some(FutureType::Boxed)
        }
        _ => None,
    }
}

type Bounds = Punctuated<TypeParamBound, Token![+]>;

/// An `impl Future` that promises nothing which only the user's own future keeps.
fn opaque_future(bounds: &Bounds) -> Option<FutureType> {
    let is_kept = bounds.iter().all(|bound| match bound {
        TypeParamBound::Trait(bound) => bound.path.segments.last().is_some_and(|last| {
            ["Future", "Send", "Sync", "Unpin"].iter().any(|kept| last.ident == kept)
        }),
        TypeParamBound::Lifetime(_) | TypeParamBound::PreciseCapture(_) => true,
        _ => false,
    });
    let is_unpin = bounds.iter().any(|bound| is_bound_by(bound, "Unpin"));
    let is_future = is_kept && bounds.iter().any(|bound| is_bound_by(bound, "Future"));
    is_future.then_some(if is_unpin { FutureType::Boxed } else { FutureType::Plain })
}

fn is_bound_by(bound: &TypeParamBound, name: &str) -> bool {
    match bound {
        TypeParamBound::Trait(bound) => {
            bound.path.segments.last().is_some_and(|last| last.ident == name)
        }
        _ => false,
    }
}

/// `Pin<Box<dyn Future>>`.
fn is_pinned_box(pin: &PathSegment) -> bool {
    let dyn_future = only_argument(pin, "Pin").and_then(|ty| match ty {
        Type::Path(path) => only_argument(path.path.segments.last()?, "Box"),
        _ => None,
    });
    match dyn_future {
        Some(Type::TraitObject(object)) => {
            object.bounds.iter().any(|bound| is_bound_by(bound, "Future"))
        }
        _ => false,
    }
}

/// The `T` of `Name<T>`.
fn only_argument<'a>(segment: &'a PathSegment, name: &str) -> Option<&'a Type> {
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else {
        return None;
    };
    match arguments.args.first()? {
        GenericArgument::Type(ty) if segment.ident == name && arguments.args.len() == 1 => Some(ty),
        _ => None,
    }
}

/// Whether the arguments can be handed on: as many as the runtime has functions for, none of them
/// there only under some `#[cfg]`, no `...`.
fn takes_plain_arguments(sig: &Signature) -> bool {
    sig.variadic.is_none()
        && sig.inputs.len() <= MAX_ARGUMENTS
        && !sig.inputs.iter().any(is_conditional)
}

/// Whether an argument is there only under some `#[cfg]`.
pub(crate) fn is_conditional(argument: &FnArg) -> bool {
    let (FnArg::Receiver(Receiver { attrs, .. }) | FnArg::Typed(PatType { attrs, .. })) = argument;
    attrs.iter().any(|attribute| is_named(attribute, "cfg") || is_named(attribute, "cfg_attr"))
}

/// How many arguments the runtime's `call_*` functions hand on at most.
pub(crate) const MAX_ARGUMENTS: usize = 16;

/// `false` for types that are certainly no `Result`. Whether another is one is for the compiler to
/// find out: there are aliases, associated types, macros.
fn may_be_result(ty: &Type) -> bool {
    const NO_RESULTS: [&str; 23] = [
        "Self", "String", "Option", "Vec", "Box", "bool", "char", "f32", "f64", "i8", "i16", "i32",
        "i64", "i128", "isize", "u8", "u16", "u32", "u64", "u128", "usize", "PathBuf", "ExitCode",
    ];
    match ty {
        Type::Group(group) => may_be_result(&group.elem),
        Type::Paren(paren) => may_be_result(&paren.elem),
        Type::Path(path) => !path.path.segments.last().is_some_and(|last| {
            path.qself.is_none() && NO_RESULTS.iter().any(|no| last.ident == no)
        }),
        Type::Macro(_) | Type::Verbatim(_) => true,
        _ => false,
    }
}

/// Parses an item, whatever it is.
fn read(attribute: Attribute, item: &TokenStream, errors: &mut Errors) -> Option<Item> {
    let read = syn::parse2(item.clone());
    if read.is_err() {
        errors.on(item, format!("{attribute} cannot read this item"));
    }
    read.ok()
}

/// Parses a function, free or of an `impl` block.
fn read_function(
    attribute: Attribute,
    item: &TokenStream,
    errors: &mut Errors,
) -> Option<ImplItemFn> {
    if let Ok(function) = syn::parse2(item.clone()) {
        return Some(function);
    }
    if let Ok(declared) = syn::parse2::<TraitItemFn>(item.clone()) {
        errors.on(
            &declared.sig.ident,
            format!("{attribute} needs a body; put it on the methods of the trait's `impl` blocks"),
        );
    } else if let Some(item) = read(attribute, item, errors) {
        wrong_item(attribute, &item, errors);
    }
    None
}

/// Says what an attribute is on and where it belongs.
fn wrong_item(attribute: Attribute, item: &Item, errors: &mut Errors) {
    let (found, token): (_, &dyn ToTokens) = match item {
        Item::Const(item) => ("a constant", &item.const_token),
        Item::Enum(item) => ("an enum", &item.enum_token),
        Item::Fn(item) => ("a function", &item.sig.fn_token),
        Item::Impl(item) => ("an `impl` block", &item.impl_token),
        Item::Mod(item) => ("a module", &item.mod_token),
        Item::Static(item) => ("a static", &item.static_token),
        Item::Struct(item) => ("a struct", &item.struct_token),
        Item::Trait(item) => ("a trait", &item.trait_token),
        Item::Type(item) => ("a type alias", &item.type_token),
        other => ("this item", other),
    };
    let message = format!("{attribute} cannot trace {found}; {}", advice(attribute, item));
    errors.add(syn::Error::new_spanned(token.to_token_stream(), message));
}

fn advice(attribute: Attribute, item: &Item) -> &'static str {
    match (attribute, item) {
        (_, Item::Fn(_)) => {
            "a free function is traced by `#[trace_function]`, a method by `#[trace_method]`"
        }
        (_, Item::Impl(_)) => "an `impl` block is traced by `#[trace_type]`",
        (Attribute::Charm, _) => "put it on the charm's `impl` block, or on its `struct`",
        (Attribute::Type, _) => "put it on an `impl` block",
        (Attribute::Method, _) => "put it on a method in an `impl` block",
        (Attribute::Function, _) => "put it on a function",
    }
}

/// Refuses a second attribute of ours on a traced block, which would trace everything twice.
fn reject_second_attribute(
    attribute: Attribute,
    attrs: &mut Vec<syn::Attribute>,
    errors: &mut Errors,
) {
    for other in [Attribute::Charm, Attribute::Type] {
        while let Some(meta) = take_attribute(attrs, other) {
            let message = if attribute == other {
                format!("{other} is given twice")
            } else {
                "`#[trace_charm]` traces this block already; remove `#[trace_type]`".to_owned()
            };
            errors.on(meta.path(), message);
        }
    }
}

fn drop_repeated(attribute: Attribute, attrs: &mut Vec<syn::Attribute>, errors: &mut Errors) {
    for other in [Attribute::Method, Attribute::Function] {
        while let Some(meta) = take_attribute(attrs, other) {
            errors
                .on(meta.path(), format!("{attribute} traces this function already; remove this"));
        }
    }
}

/// Takes the first attribute of that name out of the list.
fn take_attribute(attrs: &mut Vec<syn::Attribute>, attribute: Attribute) -> Option<Meta> {
    let position = attrs.iter().position(|candidate| is_named(candidate, attribute.name()))?;
    Some(attrs.remove(position).meta)
}

fn has_attribute(attrs: &[syn::Attribute], attribute: Attribute) -> bool {
    attrs.iter().any(|candidate| is_named(candidate, attribute.name()))
}

/// Whether an attribute's path ends in `name`.
fn is_named(attribute: &syn::Attribute, name: &str) -> bool {
    let last = attribute.path().segments.last();
    last.is_some_and(|segment| segment.ident == name)
}

/// Takes the options out of an attribute and lets it stand without effect: it would not do to leave
/// the author's `use` of it unused.
fn spend_attribute(attrs: &mut [syn::Attribute], attribute: Attribute) -> Option<TokenStream> {
    let spent = attrs.iter_mut().find(|candidate| is_named(candidate, attribute.name()))?;
    let path = spent.path().clone();
    let options = match mem::replace(&mut spent.meta, parse_quote!(#path(skip))) {
        Meta::List(list) => list.tokens,
        _ => TokenStream::new(),
    };
    Some(options)
}

/// Whether a word occurs anywhere in the tokens.
pub(crate) fn mentions(tokens: TokenStream, word: &str) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == word,
        TokenTree::Group(group) => mentions(group.stream(), word),
        _ => false,
    })
}

/// What a type is called: the last word of its path, or its text where it is no path.
fn type_name(ty: &Type) -> String {
    match ty {
        Type::Group(group) => type_name(&group.elem),
        Type::Paren(paren) => type_name(&paren.elem),
        Type::Reference(reference) => type_name(&reference.elem),
        Type::Path(path) => path
            .path
            .segments
            .last()
            .map(|segment| segment.ident.unraw().to_string())
            .unwrap_or_default(),
        other => other.to_token_stream().to_string(),
    }
}
