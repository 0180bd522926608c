//! `internal/abi/abi.go`, and the exports of each package.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use wit_parser::abi::WasmType;

use super::{Callable, Interface, Layout, Model, NOTICE, Shape, Value, camel, snake};

/// The package that exports an interface: a program that imports it has the export.
const PACKAGES: [(&str, &str); 12] = [
    ("handler", "wsrun"),
    ("packed", "wsrun"),
    ("handshake", "handshake"),
    ("writable", "writable"),
    ("chunks", "chunks"),
    ("broadcast-filter", "broadcast"),
    ("network-filter", "network"),
    ("http", "web"),
    ("reconnection", "reconnection"),
    ("pong", "pong"),
    ("timer-handler", "timers"),
    ("lifecycle", "lifecycle"),
];
const ROOT: &str = "wsrun";

pub(super) fn raw(model: &Model) -> String {
    let mut text = format!(
        "// {NOTICE}\n\n// Package abi is how the values of the contract lie in memory, and its functions as WebAssembly has them.\n\
         package abi\n\nimport \"unsafe\"\n\n\
         // String is the place of a text, or of bytes, in memory.\ntype String struct {{\n\tPtr, Len uint32\n}}\n\n\
         // List is the place of values of one type in memory.\ntype List[T any] struct {{\n\tPtr, Len uint32\n}}\n\n"
    );
    for layout in &model.types {
        definition(&mut text, layout);
    }
    for interface in &model.imports {
        for function in &interface.functions {
            let result = function.signature.results.first();
            let result = result.map_or(String::new(), |&ty| format!(" {}", core(ty)));
            let _ = writeln!(
                text,
                "//go:wasmimport {} {}\nfunc {}{}({}){result}\n",
                interface.id,
                function.name,
                camel(&interface.name),
                camel(&function.name),
                parameters(function)
            );
        }
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

pub(super) fn exports(model: &Model) -> Result<Vec<(String, String)>> {
    model
        .exports
        .iter()
        .map(|interface| {
            let (_, package) = PACKAGES
                .iter()
                .find(|(name, _)| *name == interface.name)
                .with_context(|| format!("no package of Go exports {}", interface.name))?;
            // Several are exported by one package.
            let (path, prefix) = match (*package, interface.name.as_str()) {
                (ROOT, "handler") => ("go/exports.go".to_owned(), String::new()),
                (ROOT, name) => (format!("go/exports_{}.go", snake(name)), camel(name)),
                (package, _) => (format!("go/{package}/exports.go"), String::new()),
            };
            Ok((path, exports_of(interface, package, &prefix)))
        })
        .collect()
}

fn exports_of(interface: &Interface, package: &str, prefix: &str) -> String {
    let mut functions = String::new();
    for function in &interface.functions {
        let parameters = parameters(function);
        let count = function.signature.params.len();
        let arguments: Vec<_> = (0..count).map(|number| format!("p{number}")).collect();
        let result = function.signature.results.first();
        let _ = writeln!(
            functions,
            "\n//go:wasmexport {}#{}\nfunc export{prefix}{}({parameters}){} {{\n\t{}on{prefix}{}({})\n}}",
            interface.id,
            function.name,
            camel(&function.name),
            result.map_or(String::new(), |&ty| format!(" {}", core(ty))),
            if result.is_some() { "return " } else { "" },
            camel(&function.name),
            arguments.join(", ")
        );
    }
    let import = if functions.contains("unsafe.Pointer") {
        "import \"unsafe\"\n"
    } else {
        ""
    };
    let mut text = format!("// {NOTICE}\n\npackage {package}\n\n{import}");
    text.truncate(text.trim_end().len());
    text.push('\n');
    text + &functions
}

fn definition(text: &mut String, layout: &Layout) {
    let name = camel(&layout.name);
    match &layout.shape {
        Shape::Record(fields) => {
            let _ = writeln!(text, "type {name} struct {{");
            aligned(
                text,
                fields
                    .iter()
                    .map(|(field, value)| (camel(field), spelled(value))),
            );
            text.push_str("}\n\n");
        }
        Shape::Variant(cases) => {
            let count = (layout.size - layout.align) / layout.align;
            if count == 0 {
                let _ = writeln!(text, "type {name} struct {{\n\tTag uint8\n}}\n\nconst (");
            } else {
                let _ = writeln!(
                    text,
                    "type {name} struct {{\n\tTag   uint8\n\tValue [{count}]{}\n}}\n\nconst (",
                    unit(layout.align)
                );
            }
            let width = cases.iter().map(|(case, _)| camel(case).len()).max();
            for (number, (case, _)) in cases.iter().enumerate() {
                let _ = writeln!(
                    text,
                    "\t{name}{:width$} = {number}",
                    camel(case),
                    width = width.unwrap_or_default()
                );
            }
            text.push_str(")\n\n");
        }
        Shape::Enum(cases) => {
            let _ = writeln!(text, "type {name} = uint8\n\nconst (");
            let width = cases.iter().map(|case| camel(case).len()).max();
            for (number, case) in cases.iter().enumerate() {
                let _ = writeln!(
                    text,
                    "\t{name}{:width$} = {number}",
                    camel(case),
                    width = width.unwrap_or_default()
                );
            }
            text.push_str(")\n\n");
        }
        Shape::List(value) => {
            let _ = writeln!(text, "type {name} = List[{}]\n", spelled(value));
        }
        Shape::Optional(value) => {
            let _ = writeln!(
                text,
                "type {name} struct {{\n\tSome  bool\n\tValue {}\n}}\n",
                spelled(value)
            );
        }
        Shape::Outcome(..) => {
            let size = layout.size - layout.align;
            let _ = writeln!(
                text,
                "type {name} struct {{\n\tFailed bool\n\tValue  [{}]{}\n}}\n",
                size / layout.align,
                unit(layout.align)
            );
        }
    }
    let _ = writeln!(
        text,
        "var _ [{}]byte = [unsafe.Sizeof({name}{})]byte{{}}\n",
        layout.size,
        if matches!(layout.shape, Shape::Enum(_)) {
            "(0)"
        } else {
            "{}"
        }
    );
}

/// As gofmt has it.
fn aligned(text: &mut String, fields: impl Iterator<Item = (String, String)>) {
    let fields: Vec<_> = fields.collect();
    let width = fields.iter().map(|(name, _)| name.len()).max();
    for (name, ty) in fields {
        let _ = writeln!(
            text,
            "\t{name:width$} {ty}",
            width = width.unwrap_or_default()
        );
    }
}

/// What makes a value begin at a multiple of `align`.
fn unit(align: usize) -> &'static str {
    match align {
        1 => "uint8",
        2 => "uint16",
        4 => "uint32",
        _ => "uint64",
    }
}

fn spelled(value: &Value) -> String {
    match value {
        Value::Bool => "bool".to_owned(),
        Value::U8 => "uint8".to_owned(),
        Value::U16 => "uint16".to_owned(),
        Value::U32 => "uint32".to_owned(),
        Value::U64 => "uint64".to_owned(),
        Value::String | Value::Bytes => "String".to_owned(),
        Value::Named(name) => camel(name),
    }
}

fn parameters(function: &Callable) -> String {
    let types = function.signature.params.iter();
    let parameters: Vec<_> = types
        .enumerate()
        .map(|(number, &ty)| format!("p{number} {}", core(ty)))
        .collect();
    parameters.join(", ")
}

fn core(ty: WasmType) -> &'static str {
    match ty {
        WasmType::I32 | WasmType::Length => "uint32",
        WasmType::I64 | WasmType::PointerOrI64 => "uint64",
        WasmType::F32 => "float32",
        WasmType::F64 => "float64",
        WasmType::Pointer => "unsafe.Pointer",
    }
}
