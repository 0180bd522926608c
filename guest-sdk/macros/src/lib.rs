//! The `#[handler]` attribute of `wsrun-guest`, which re-exports and documents it.
//!
//! It needs two things of the `impl` block, the type and the names of its methods, and reads them off the tokens: without a parser crate
//! this compiles in a second.

use proc_macro::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};

/// See the documentation of `wsrun_guest::handler`.
#[proc_macro_attribute]
pub fn handler(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let expansion =
        expand(&arguments, item.clone()).unwrap_or_else(|error| error.into_compile_error());
    // The block itself stays as it was written, so that rustc checks it and its messages point at the user's code.
    item.into_iter().chain(expansion).collect()
}

struct SyntaxError {
    span: Span,
    text: &'static str,
}

impl SyntaxError {
    fn new(span: Span, text: &'static str) -> Self {
        Self { span, text }
    }

    fn into_compile_error(self) -> TokenStream {
        let error: TokenStream = format!("::core::compile_error!({:?});", self.text)
            .parse()
            .expect("a macro call with a string literal");
        error
            .into_iter()
            .map(|mut tree| {
                tree.set_span(self.span);
                tree
            })
            .collect()
    }
}

/// What is read off `impl Handler for Type { ... }`.
struct HandlerImpl {
    handler_type: TokenStream,
    methods: Vec<Method>,
}

struct Method {
    name: String,
    /// The predicates of its `#[cfg(..)]` attributes: they apply to its export too.
    cfgs: Vec<TokenStream>,
}

/// The export macros of the optional interfaces and the methods of `Handler` behind each: any of them makes the export.
const OPTIONAL_METHODS: [(&str, &[&str]); 10] = [
    ("export_handshake", &["handshake"]),
    ("export_writable", &["writable"]),
    ("export_chunks", &["received_chunk"]),
    ("export_broadcast_filter", &["wanted"]),
    ("export_network_filter", &["accepts"]),
    ("export_http", &["http"]),
    ("export_reconnection", &["lost", "restored"]),
    ("export_pong", &["pong"]),
    ("export_timer", &["timer"]),
    (
        "export_lifecycle",
        &["started", "resumed", "save", "restore", "draining"],
    ),
];

fn expand(arguments: &TokenStream, item: TokenStream) -> Result<TokenStream, SyntaxError> {
    if let Some(tree) = arguments.clone().into_iter().next() {
        return Err(SyntaxError::new(
            tree.span(),
            "#[handler] takes no arguments",
        ));
    }
    let HandlerImpl {
        handler_type,
        methods,
    } = parse_impl(item)?;

    let mut exports = String::from(
        "::wsrun_guest::__private::export_handler!(WsrunExports);\
         const _: () = { ::wsrun_guest::__private::export_packed!(WsrunExports); };",
    );
    for (export_macro, names) in OPTIONAL_METHODS {
        let present: Vec<&Method> = methods
            .iter()
            .filter(|method| names.contains(&method.name.as_str()))
            .collect();
        if present.is_empty() {
            continue;
        }
        let condition = any_of(&present);
        exports.push_str(&format!(
            "{condition} const _: () = {{ ::wsrun_guest::__private::{export_macro}!(WsrunExports); }};"
        ));
    }

    // One thread runs a handler and the host never re-enters it, so that the RefCell is never found borrowed. Without the target check,
    // tests and doc tests on the host would export symbols with `@` in their names, which linkers take for versions.
    let glue = format!(
        "const _: () = {{
            ::std::thread_local! {{
                static STATE: ::wsrun_guest::__private::State<HandlerType> =
                    const {{ ::wsrun_guest::__private::State::new() }};
            }}
            struct WsrunExports;
            impl ::wsrun_guest::__private::Exported for WsrunExports {{
                type Handler = HandlerType;
                fn with<R>(call: impl ::core::ops::FnOnce(&mut HandlerType) -> R) -> R {{
                    STATE.with(|state| state.with(call))
                }}
            }}
            #[cfg(not(target_family = \"wasm\"))]
            const _: fn() = || <WsrunExports as ::wsrun_guest::__private::Exported>::with(|_| ());
            #[cfg(target_family = \"wasm\")]
            const _: () = {{ {exports} }};
        }};"
    );
    let glue: TokenStream = glue.parse().expect("the glue is Rust");
    Ok(substitute(glue, &handler_type))
}

/// The attribute under which any of these methods is there; empty when one always is.
fn any_of(methods: &[&Method]) -> String {
    if methods.iter().any(|method| method.cfgs.is_empty()) {
        return String::new();
    }
    let conditions: Vec<String> = methods
        .iter()
        .map(|method| combine("all", method.cfgs.iter().map(TokenStream::to_string)))
        .collect();
    format!("#[cfg({})]", combine("any", conditions.into_iter()))
}

/// Cfg predicates in one: clippy finds fault with an `all` or `any` around a single one.
fn combine(operator: &str, predicates: impl ExactSizeIterator<Item = String>) -> String {
    let one = predicates.len() == 1;
    let predicates = predicates.collect::<Vec<_>>().join(", ");
    if one {
        predicates
    } else {
        format!("{operator}({predicates})")
    }
}

/// Puts the handler's type, with the spans it was written with, in the place of `HandlerType`.
fn substitute(glue: TokenStream, handler_type: &TokenStream) -> TokenStream {
    glue.into_iter()
        .flat_map(|tree| match tree {
            TokenTree::Ident(ident) if ident.to_string() == "HandlerType" => handler_type.clone(),
            TokenTree::Group(group) => TokenTree::Group(Group::new(
                group.delimiter(),
                substitute(group.stream(), handler_type),
            ))
            .into(),
            tree @ (TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_)) => {
                tree.into()
            }
        })
        .collect()
}

fn parse_impl(item: TokenStream) -> Result<HandlerImpl, SyntaxError> {
    const EXPECTED: &str = "#[handler] belongs on `impl Handler for YourType { ... }`";

    let mut trees = item.into_iter().peekable();
    // Attributes of the block.
    while matches!(trees.peek(), Some(TokenTree::Punct(punct)) if punct.as_char() == '#') {
        trees.next();
        trees.next();
    }
    match trees.next() {
        Some(TokenTree::Ident(ident)) if ident.to_string() == "impl" => {}
        Some(tree) => return Err(SyntaxError::new(tree.span(), EXPECTED)),
        None => return Err(SyntaxError::new(Span::call_site(), EXPECTED)),
    }
    if let Some(TokenTree::Punct(punct)) = trees.peek()
        && punct.as_char() == '<'
    {
        return Err(SyntaxError::new(
            punct.span(),
            "a handler is one type: #[handler] cannot export a generic one",
        ));
    }
    // The path of the trait, to `for`.
    loop {
        match trees.next() {
            Some(TokenTree::Ident(ident)) if ident.to_string() == "for" => break,
            Some(TokenTree::Group(group)) => return Err(SyntaxError::new(group.span(), EXPECTED)),
            Some(TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_)) => {}
            None => return Err(SyntaxError::new(Span::call_site(), EXPECTED)),
        }
    }
    let mut rest: Vec<TokenTree> = trees.collect();
    match rest.pop() {
        Some(TokenTree::Group(body))
            if body.delimiter() == Delimiter::Brace && !rest.is_empty() =>
        {
            Ok(HandlerImpl {
                handler_type: rest.into_iter().collect(),
                methods: parse_methods(body.stream()),
            })
        }
        _ => Err(SyntaxError::new(Span::call_site(), EXPECTED)),
    }
}

fn parse_methods(body: TokenStream) -> Vec<Method> {
    let mut methods = Vec::new();
    let mut cfgs = Vec::new();
    let mut trees = body.into_iter().peekable();
    while let Some(tree) = trees.next() {
        match tree {
            TokenTree::Punct(hash) if hash.as_char() == '#' => {
                cfgs.extend(trees.peek().and_then(cfg_predicate));
            }
            TokenTree::Ident(keyword) if keyword.to_string() == "fn" => {
                // `fn` of a function pointer type is followed by a parenthesis.
                if let Some(TokenTree::Ident(name)) = trees.peek() {
                    let name = name_of(name);
                    methods.push(Method {
                        name,
                        cfgs: std::mem::take(&mut cfgs),
                    });
                }
            }
            // The body of a method, or the end of another item: what comes next has attributes of its own.
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                cfgs.clear();
            }
            TokenTree::Punct(end) if end.as_char() == ';' => cfgs.clear(),
            TokenTree::Group(_)
            | TokenTree::Ident(_)
            | TokenTree::Punct(_)
            | TokenTree::Literal(_) => {}
        }
    }
    methods
}

/// What stands in the parentheses of `[cfg(..)]`; `None` for other attributes.
fn cfg_predicate(attribute: &TokenTree) -> Option<TokenStream> {
    let TokenTree::Group(group) = attribute else {
        return None;
    };
    let mut trees = group.stream().into_iter();
    match (trees.next(), trees.next()) {
        (Some(TokenTree::Ident(name)), Some(TokenTree::Group(predicate)))
            if name.to_string() == "cfg" =>
        {
            Some(predicate.stream())
        }
        _ => None,
    }
}

fn name_of(ident: &Ident) -> String {
    let name = ident.to_string();
    name.strip_prefix("r#").unwrap_or(&name).to_owned()
}
