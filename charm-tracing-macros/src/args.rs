//! Options → arguments: what stands in the parentheses of an attribute, parsed and checked.
//!
//! Everything that can be known from the options alone is known here: names, duplicates, kinds of
//! literals, ranges. Every mistake is collected; what was wrong is left out of the result, so that
//! the rest still expands.

use std::fmt::{self, Display};
use std::iter;
use std::ops::RangeInclusive;

use proc_macro2::{Group, Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{Expr, Ident, Lit, LitInt, LitStr, Path, PathSegment, Token, Type, UnOp};

use crate::errors::{suggestion, Errors};

/// The four attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attribute {
    Charm,
    Type,
    Method,
    Function,
}

impl Attribute {
    const ALL: [Self; 4] = [Self::Charm, Self::Type, Self::Method, Self::Function];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Charm => "trace_charm",
            Self::Type => "trace_type",
            Self::Method => "trace_method",
            Self::Function => "trace_function",
        }
    }

    fn options(self) -> &'static [&'static str] {
        match self {
            Self::Charm => &[
                "tracing_endpoint",
                "server_cert",
                "cert_path",
                "service_name",
                "extra_types",
                "buffer_max_events",
                "buffer_max_size_mib",
                "buffer_path",
                "export_timeout",
                "skip",
                "crate",
            ],
            Self::Type => &["name", "extra_types", "skip", "crate"],
            Self::Method | Self::Function => &["name", "skip", "fields", "err", "crate"],
        }
    }

    /// How an option is written.
    fn usage(self, option: &str) -> &'static str {
        match option {
            "tracing_endpoint" => "tracing_endpoint = field_or_method",
            "server_cert" => "server_cert = field_or_method",
            "cert_path" => "cert_path = field_or_method",
            "service_name" => "service_name = \"hello\"",
            "extra_types" => "extra_types(Type, ..)",
            "buffer_max_events" => "buffer_max_events = 100",
            "buffer_max_size_mib" => "buffer_max_size_mib = 10",
            "buffer_path" => "buffer_path = \"/path/to/file\"",
            "export_timeout" => "export_timeout = Duration::from_secs(1)",
            "skip" if matches!(self, Self::Method | Self::Function) => "skip",
            "skip" => "skip(method, ..)",
            "name" => "name = \"..\"",
            "fields" => "fields(key = expression, ..)",
            "err" => "err = false",
            _ => "crate = path::to::charm_tracing",
        }
    }
}

impl Display for Attribute {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`#[{}]`", self.name())
    }
}

/// The options of `#[trace_charm]`.
pub(crate) struct CharmArgs {
    /// What the charm is configured with, in the order it was written.
    pub(crate) settings: Vec<Setting>,
    pub(crate) block: BlockArgs,
}

/// One option that becomes a call on `Options`.
pub(crate) struct Setting {
    /// The option's name, which is the method's.
    pub(crate) option: Ident,
    pub(crate) value: Expr,
}

/// The options of a traced `impl` block.
pub(crate) struct BlockArgs {
    pub(crate) root: Root,
    pub(crate) name: Option<LitStr>,
    pub(crate) skip: Vec<Ident>,
    pub(crate) extra_types: Vec<Type>,
}

/// The options of one traced function.
#[derive(Default)]
pub(crate) struct FunctionArgs {
    pub(crate) root: Option<Root>,
    pub(crate) name: Option<LitStr>,
    pub(crate) skip: bool,
    pub(crate) fields: Vec<Field>,
    pub(crate) err: Err,
}

/// Whether a returned `Err` is recorded.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Err {
    #[default]
    Recorded,
    Ignored,
}

/// One attribute of a span.
pub(crate) struct Field {
    pub(crate) key: LitStr,
    pub(crate) value: Expr,
}

/// The path that the runtime is reached by.
#[derive(Clone)]
pub(crate) struct Root(Path);

impl Default for Root {
    fn default() -> Self {
        let name = Ident::new("charm_tracing", Span::mixed_site());
        Self(Path {
            leading_colon: Some(Token![::](Span::mixed_site())),
            segments: iter::once(PathSegment::from(name)).collect(),
        })
    }
}

impl Root {
    /// The path at `span`, where an error in what it leads to belongs.
    pub(crate) fn at(&self, span: Span) -> Path {
        let mut path = self.0.clone();
        for segment in &mut path.segments {
            segment.ident.set_span(span);
        }
        if let Some(colons) = &mut path.leading_colon {
            *colons = Token![::](span);
        }
        path
    }

    /// The path of a function for expansions, at `span`.
    pub(crate) fn function(&self, name: &str, span: Span) -> Path {
        let mut path = self.at(span);
        for name in ["__private", name] {
            path.segments.push(Ident::new(name, span).into());
        }
        path
    }
}

impl ToTokens for Root {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.0.to_tokens(tokens);
    }
}

impl CharmArgs {
    pub(crate) fn parse(tokens: TokenStream, errors: &mut Errors) -> Self {
        let mut settings = Vec::new();
        let mut block = BlockArgs::empty();
        for option in options(Attribute::Charm, tokens, errors) {
            if !block.take(&option, errors) {
                settings.extend(Setting::from(option, errors));
            }
        }
        Self { settings, block }
    }
}

impl Setting {
    fn from(option: Given, errors: &mut Errors) -> Option<Self> {
        let value = option.expression(errors)?.clone();
        let (name, span) = (option.name.to_string(), option.name.span());
        let value = match name.as_str() {
            "tracing_endpoint" | "server_cert" | "cert_path" => place(&name, value, errors),
            "service_name" | "buffer_path" => text(&name, value, errors),
            "buffer_max_events" => number(&name, value, &(0..=u64::MAX), errors),
            "buffer_max_size_mib" => number(&name, value, &BUFFER_SIZE_MIB, errors),
            _ => duration(value, errors),
        }?;
        let option = match name.as_str() {
            "cert_path" => Ident::new("server_cert", span),
            _ => option.name,
        };
        Some(Self { option, value })
    }
}

/// What `Options::buffer_max_size_mib` takes.
pub(crate) const BUFFER_SIZE_MIB: RangeInclusive<u64> = 10..=4095;

/// A field or a method of the charm, which may be written as text.
fn place(option: &str, value: Expr, errors: &mut Errors) -> Option<Expr> {
    let Some(literal) = literal(&value) else {
        return Some(value);
    };
    let name = match literal {
        Lit::Str(text) => text.parse::<Ident>().ok(),
        _ => None,
    };
    if name.is_none() {
        errors.on(
            literal,
            format!("`{option}` names a field or a method of the charm, like `{option} = {option}`; for a fixed value add a method that returns it"),
        );
    }
    name.map(|name| syn::parse_quote!(#name))
}

fn text(option: &str, value: Expr, errors: &mut Errors) -> Option<Expr> {
    match literal(&value) {
        Some(Lit::Str(text)) if text.value().trim().is_empty() => {
            errors.on(text, format!("`{option}` is empty; leave the option out for the default"));
            None
        }
        Some(Lit::Str(_)) | None => Some(value),
        Some(other) => {
            errors.on(other, format!("expected text: `{}`", Attribute::Charm.usage(option)));
            None
        }
    }
}

fn number(
    option: &str,
    value: Expr,
    range: &RangeInclusive<u64>,
    errors: &mut Errors,
) -> Option<Expr> {
    if is_negative(&value) {
        errors.on(&value, format!("`{option}` cannot be negative"));
        return None;
    }
    match literal(&value) {
        None => Some(value),
        Some(Lit::Int(number)) => is_in(range, option, number, errors).then_some(value),
        Some(other) => {
            errors.on(
                other,
                format!("expected a whole number: `{}`", Attribute::Charm.usage(option)),
            );
            None
        }
    }
}

fn is_negative(value: &Expr) -> bool {
    match value {
        Expr::Unary(unary) => matches!(unary.op, UnOp::Neg(_)) && literal(&unary.expr).is_some(),
        _ => false,
    }
}

fn is_in(range: &RangeInclusive<u64>, option: &str, number: &LitInt, errors: &mut Errors) -> bool {
    match number.base10_parse::<u64>() {
        Ok(number) if range.contains(&number) => return true,
        Ok(given) if given < *range.start() => {
            errors.on(number, format!("`{option}` is at least {}", range.start()));
        }
        Ok(_) => errors.on(number, format!("`{option}` is at most {}", range.end())),
        Err(_) => errors.on(number, format!("`{option}` is too large")),
    }
    false
}

fn duration(value: Expr, errors: &mut Errors) -> Option<Expr> {
    if let Some(literal) = literal(&value) {
        errors.on(
            literal,
            "`export_timeout` is a `Duration`: `export_timeout = Duration::from_secs(1)`",
        );
        return None;
    }
    Some(value)
}

/// The literal that an expression is, also one that came through a macro's parameter.
fn literal(value: &Expr) -> Option<&Lit> {
    match value {
        Expr::Lit(literal) => Some(&literal.lit),
        Expr::Group(group) => literal(&group.expr),
        _ => None,
    }
}

impl BlockArgs {
    pub(crate) fn parse(tokens: TokenStream, errors: &mut Errors) -> Self {
        let mut args = Self::empty();
        for option in options(Attribute::Type, tokens, errors) {
            if option.name == "name" {
                args.name = option.name_text(errors);
            } else {
                args.take(&option, errors);
            }
        }
        args
    }

    fn empty() -> Self {
        Self { root: Root::default(), name: None, skip: Vec::new(), extra_types: Vec::new() }
    }

    /// Takes an option that every traced block has; `false` for any other.
    fn take(&mut self, option: &Given, errors: &mut Errors) -> bool {
        match option.name.to_string().as_str() {
            "crate" => self.root = option.root(errors).unwrap_or_default(),
            "skip" => self.skip = option.methods(errors),
            "extra_types" => self.extra_types = option.types(errors),
            _ => return false,
        }
        true
    }
}

impl FunctionArgs {
    /// `attribute` is [`Attribute::Method`] or [`Attribute::Function`].
    pub(crate) fn parse(attribute: Attribute, tokens: TokenStream, errors: &mut Errors) -> Self {
        let mut args = Self::default();
        for option in options(attribute, tokens, errors) {
            match option.name.to_string().as_str() {
                "crate" => args.root = option.root(errors),
                "name" => args.name = option.name_text(errors),
                "skip" => args.skip = option.flag(errors),
                "fields" => args.fields = option.fields(errors),
                _ => args.err = option.err(errors),
            }
        }
        args
    }
}

/// An option as it was written.
struct Given {
    attribute: Attribute,
    name: Ident,
    form: Form,
}

enum Form {
    /// `name`
    Flag,
    /// `name = expression`
    Value(Expr),
    /// `name(..)`
    List(TokenStream),
}

/// Reads the options and leaves out the unknown and the repeated ones.
fn options(attribute: Attribute, tokens: TokenStream, errors: &mut Errors) -> Vec<Given> {
    let read = |input: ParseStream<'_>| {
        let mut given = Vec::new();
        while !input.is_empty() {
            given.extend(option(attribute, input, errors));
            end_of_element(input, errors);
        }
        Ok(given)
    };
    let given: Vec<Given> = read.parse2(tokens).unwrap_or_default();
    let mut known: Vec<Given> = Vec::new();
    for option in given {
        if option.is_known(errors) && option.is_new(&known, errors) {
            known.push(option);
        }
    }
    known
}

fn option(attribute: Attribute, input: ParseStream<'_>, errors: &mut Errors) -> Option<Given> {
    let Ok(name) = input.call(Ident::parse_any) else {
        errors.at(input.span(), format!("expected an option of {attribute}"));
        skip_element(input);
        return None;
    };
    let is_list = attribute.usage(&name.to_string()).starts_with(&format!("{name}("));
    let form = if input.peek(Token![=]) && is_list {
        skip_element(input);
        Form::Flag
    } else if input.peek(Token![=]) {
        Form::Value(value(attribute, &name, input, errors)?)
    } else if input.peek(syn::token::Paren) {
        Form::List(input.parse::<Group>().ok()?.stream())
    } else {
        Form::Flag
    };
    Some(Given { attribute, name, form })
}

fn value(
    attribute: Attribute,
    name: &Ident,
    input: ParseStream<'_>,
    errors: &mut Errors,
) -> Option<Expr> {
    let equals: Token![=] = input.parse().ok()?;
    if input.is_empty() || input.peek(Token![,]) {
        let usage = attribute.usage(&name.to_string());
        errors.on(&equals, format!("a value is missing: `{usage}`"));
        return None;
    }
    let value = input.parse();
    if value.is_err() {
        errors.at(input.span(), format!("expected an expression as the value of `{name}`"));
        skip_element(input);
    }
    value.ok()
}

/// Steps over the comma behind an element, or over what is there in place of one.
fn end_of_element(input: ParseStream<'_>, errors: &mut Errors) {
    if input.is_empty() {
        return;
    }
    if !input.peek(Token![,]) {
        errors.at(input.span(), "expected `,`");
        skip_element(input);
    }
    let _ = input.parse::<Option<Token![,]>>();
}

/// Steps over everything up to the next comma.
fn skip_element(input: ParseStream<'_>) {
    while !input.is_empty() && !input.peek(Token![,]) {
        let _ = input.parse::<TokenTree>();
    }
}

impl Given {
    fn is_known(&self, errors: &mut Errors) -> bool {
        let name = self.name.to_string();
        if self.attribute.options().contains(&name.as_str()) {
            return true;
        }
        let other =
            Attribute::ALL.into_iter().find(|other| other.options().contains(&name.as_str()));
        let advice = match other {
            Some(other) => format!("it is an option of {other}"),
            None => suggestion(&name, self.attribute.options().iter().copied()),
        };
        let attribute = self.attribute;
        errors.on(&self.name, format!("{attribute} has no option `{name}`; {advice}"));
        false
    }

    fn is_new(&self, earlier: &[Self], errors: &mut Errors) -> bool {
        let Some(earlier) = earlier.iter().find(|other| self.is_same_option(other)) else {
            return true;
        };
        let name = &self.name;
        let message = if earlier.name == *name {
            format!("`{name}` is given twice")
        } else {
            format!("`{name}` is the same option as `{}`; keep one of them", earlier.name)
        };
        errors.on(name, message);
        false
    }

    fn is_same_option(&self, other: &Self) -> bool {
        let is_certificate = |name: &Ident| name == "server_cert" || name == "cert_path";
        self.name == other.name || is_certificate(&self.name) && is_certificate(&other.name)
    }

    /// Says how the option is written.
    ///
    /// Two options have namesakes in other tracing crates that mean something else.
    fn is_misshapen(&self, errors: &mut Errors) {
        let name = self.name.to_string();
        let usage = self.attribute.usage(&name);
        let is_of_function = matches!(self.attribute, Attribute::Method | Attribute::Function);
        errors.on(
            &self.name,
            match name.as_str() {
                "err" => format!("an `Err` is recorded anyway; write `{usage}` to leave it out"),
                "skip" if is_of_function => format!(
                    "arguments are never recorded; write `{usage}` to leave the whole function out"
                ),
                _ => format!("write `{usage}`"),
            },
        );
    }

    fn expression(&self, errors: &mut Errors) -> Option<&Expr> {
        let Form::Value(value) = &self.form else {
            self.is_misshapen(errors);
            return None;
        };
        Some(value)
    }

    fn list(&self, errors: &mut Errors) -> TokenStream {
        let Form::List(tokens) = &self.form else {
            self.is_misshapen(errors);
            return TokenStream::new();
        };
        if tokens.is_empty() {
            let usage = self.attribute.usage(&self.name.to_string());
            errors.on(&self.name, format!("`{}` names nothing: `{usage}`", self.name));
        }
        tokens.clone()
    }

    fn flag(&self, errors: &mut Errors) -> bool {
        let is_flag = matches!(self.form, Form::Flag);
        if !is_flag {
            self.is_misshapen(errors);
        }
        is_flag
    }

    fn err(&self, errors: &mut Errors) -> Err {
        let Some(value) = self.expression(errors) else {
            return Err::Recorded;
        };
        match literal(value) {
            Some(Lit::Bool(recorded)) if recorded.value => Err::Recorded,
            Some(Lit::Bool(_)) => Err::Ignored,
            _ => {
                errors.on(value, "expected `true` or `false`");
                Err::Recorded
            }
        }
    }

    fn name_text(&self, errors: &mut Errors) -> Option<LitStr> {
        let value = self.expression(errors)?;
        match literal(value) {
            Some(Lit::Str(text)) if text.value().trim().is_empty() => {
                errors.on(text, "`name` is empty; leave the option out for the default");
            }
            Some(Lit::Str(text)) => return Some(text.clone()),
            _ => errors.on(value, "a span's name is a string literal: `name = \"..\"`"),
        }
        None
    }

    fn root(&self, errors: &mut Errors) -> Option<Root> {
        match self.expression(errors)? {
            Expr::Path(path) if path.qself.is_none() => Some(Root(path.path.clone())),
            other => {
                errors
                    .on(other, "expected the path of the crate: `crate = path::to::charm_tracing`");
                None
            }
        }
    }

    fn methods(&self, errors: &mut Errors) -> Vec<Ident> {
        let mut methods: Vec<Ident> = Vec::new();
        elements(self.list(errors), errors, |input, errors| {
            let Ok(method) = input.call(Ident::parse_any) else {
                errors.at(input.span(), "expected the name of a method");
                return skip_element(input);
            };
            if methods.contains(&method) {
                errors.on(&method, format!("`{method}` is listed twice"));
            } else {
                methods.push(method);
            }
        });
        methods
    }

    fn types(&self, errors: &mut Errors) -> Vec<Type> {
        let mut types: Vec<Type> = Vec::new();
        elements(self.list(errors), errors, |input, errors| {
            let start = input.span();
            let Ok(ty) = input.parse::<Type>() else {
                errors.at(start, "expected a type");
                return skip_element(input);
            };
            if is_extra_type(&ty, &types, errors) {
                types.push(ty);
            }
        });
        types
    }

    fn fields(&self, errors: &mut Errors) -> Vec<Field> {
        let mut fields: Vec<Field> = Vec::new();
        elements(self.list(errors), errors, |input, errors| {
            let start = input.span();
            let Ok(field) = field(input) else {
                errors.at(start, "expected `key = expression`, as in `jobs = jobs.len()`");
                return skip_element(input);
            };
            if fields.iter().any(|other| other.key.value() == field.key.value()) {
                errors.on(&field.key, format!("the key `{}` is given twice", field.key.value()));
            } else {
                fields.push(field);
            }
        });
        fields
    }
}

/// Reads a list of elements with commas between them.
fn elements(
    tokens: TokenStream,
    errors: &mut Errors,
    mut read: impl FnMut(ParseStream<'_>, &mut Errors),
) {
    let read_all = |input: ParseStream<'_>| {
        while !input.is_empty() {
            read(input, errors);
            end_of_element(input, errors);
        }
        Ok(())
    };
    let _ = read_all.parse2(tokens);
}

/// `key = expression`; the key is a word, words with dots between them, or text.
fn field(input: ParseStream<'_>) -> syn::Result<Field> {
    let key = if input.peek(LitStr) { input.parse()? } else { dotted_key(input)? };
    input.parse::<Token![=]>()?;
    Ok(Field { key, value: input.parse()? })
}

fn dotted_key(input: ParseStream<'_>) -> syn::Result<LitStr> {
    let first = input.call(Ident::parse_any)?;
    let mut key = first.unraw().to_string();
    while input.peek(Token![.]) {
        input.parse::<Token![.]>()?;
        key.push('.');
        key.push_str(&input.call(Ident::parse_any)?.unraw().to_string());
    }
    Ok(LitStr::new(&key, first.span()))
}

fn is_extra_type(ty: &Type, earlier: &[Type], errors: &mut Errors) -> bool {
    let text = ty.to_token_stream().to_string();
    let message = match ty {
        Type::Infer(_) | Type::ImplTrait(_) | Type::Never(_) | Type::Macro(_) => {
            "expected the type of the values whose calls are to be traced".to_owned()
        }
        _ if is_primitive(&text) => {
            format!("`{text}` is a primitive; calls on primitives are not traced")
        }
        _ if earlier.iter().any(|other| other.to_token_stream().to_string() == text) => {
            format!("`{text}` is listed twice")
        }
        _ => return true,
    };
    errors.on(ty, message);
    false
}

fn is_primitive(text: &str) -> bool {
    const PRIMITIVES: [&str; 18] = [
        "bool", "char", "str", "f32", "f64", "i8", "i16", "i32", "i64", "i128", "isize", "u8",
        "u16", "u32", "u64", "u128", "usize", "()",
    ];
    PRIMITIVES.contains(&text)
}
