//! `raw.zig`.

use std::fmt::Write as _;

use wit_parser::abi::WasmType;

use super::{Callable, Layout, Model, NOTICE, Shape, Value, camel, snake};

pub(super) fn raw(model: &Model) -> String {
    let mut text = format!(
        "//! {NOTICE}\n\n\
         pub const String = extern struct {{ ptr: [*]const u8, len: usize }};\n\
         pub const Bytes = String;\n\n"
    );
    for layout in &model.types {
        definition(&mut text, layout);
    }
    for interface in &model.imports {
        let functions = &interface.functions;
        if functions.is_empty() {
            continue;
        }
        let _ = writeln!(text, "pub const {} = struct {{", snake(&interface.name));
        for function in functions {
            let _ = writeln!(
                text,
                "    pub const {} = @extern(*const fn ({}) callconv(.c) {}, .{{ .name = \"{}\", .library_name = \"{}\" }});",
                quoted(&snake(&function.name)),
                parameters(function),
                function
                    .signature
                    .results
                    .first()
                    .map_or("void", |&ty| core(ty)),
                function.name,
                interface.id
            );
        }
        text.push_str("};\n\n");
    }
    text.push_str("/// Names of exports.\npub const names = struct {\n");
    for interface in &model.exports {
        for function in &interface.functions {
            let _ = writeln!(
                text,
                "    pub const {}_{} = \"{}#{}\";",
                snake(&interface.name),
                snake(&function.name),
                interface.id,
                function.name
            );
        }
    }
    text.push_str("};\n");
    text
}

fn definition(text: &mut String, layout: &Layout) {
    let name = camel(&layout.name);
    match &layout.shape {
        Shape::Record(fields) => {
            let _ = writeln!(text, "pub const {name} = extern struct {{");
            for (field, value) in fields {
                let _ = writeln!(text, "    {}: {},", quoted(&snake(field)), spelled(value));
            }
            text.push_str("};\n");
        }
        Shape::Variant(cases) => {
            let _ = writeln!(text, "pub const {name} = extern struct {{\n    tag: Tag,");
            let values = cases.iter().filter_map(|(case, value)| {
                let value = value.as_ref()?;
                Some(format!(
                    "        {}: {},\n",
                    quoted(&snake(case)),
                    spelled(value)
                ))
            });
            let values: String = values.collect();
            if !values.is_empty() {
                let _ = writeln!(text, "    value: extern union {{\n{values}    }},");
            }
            let _ = writeln!(text, "\n    pub const Tag = enum(u8) {{");
            for (case, _) in cases {
                let _ = writeln!(text, "        {},", quoted(&snake(case)));
            }
            text.push_str("    };\n};\n");
        }
        Shape::Enum(cases) => {
            let cases: Vec<_> = cases.iter().map(|case| quoted(&snake(case))).collect();
            let _ = writeln!(
                text,
                "pub const {name} = enum(u8) {{ {} }};",
                cases.join(", ")
            );
        }
        Shape::List(value) => {
            let _ = writeln!(
                text,
                "pub const {name} = extern struct {{ ptr: [*]const {}, len: usize }};",
                spelled(value)
            );
        }
        Shape::Optional(value) => {
            let _ = writeln!(
                text,
                "pub const {name} = extern struct {{ some: bool, value: {} }};",
                spelled(value)
            );
        }
        Shape::Outcome(ok, error) => {
            let parts = [("ok", ok), ("err", error)];
            let parts: Vec<_> = parts
                .iter()
                .filter_map(|(name, value)| Some(format!("{name}: {}", spelled(value.as_ref()?))))
                .collect();
            let _ = writeln!(
                text,
                "pub const {name} = extern struct {{ failed: bool, value: extern union {{ {} }} }};",
                parts.join(", ")
            );
        }
    }
    let _ = writeln!(
        text,
        "comptime {{\n    if (@sizeOf({name}) != {} or @alignOf({name}) != {}) @compileError(\"layout of {name}\");\n}}\n",
        layout.size, layout.align
    );
}

fn spelled(value: &Value) -> String {
    match value {
        Value::Bool => "bool".to_owned(),
        Value::U8 => "u8".to_owned(),
        Value::U16 => "u16".to_owned(),
        Value::U32 => "u32".to_owned(),
        Value::U64 => "u64".to_owned(),
        Value::String => "String".to_owned(),
        Value::Bytes => "Bytes".to_owned(),
        Value::Named(name) => camel(name),
    }
}

fn parameters(function: &Callable) -> String {
    let mut parameters: Vec<_> = function
        .signature
        .params
        .iter()
        .map(|&ty| core(ty))
        .collect();
    if function.returns_by_pointer()
        && let Some(last) = parameters.last_mut()
    {
        *last = "*anyopaque";
    }
    parameters.join(", ")
}

fn core(ty: WasmType) -> &'static str {
    match ty {
        WasmType::I32 => "u32",
        WasmType::I64 | WasmType::PointerOrI64 => "u64",
        WasmType::F32 => "f32",
        WasmType::F64 => "f64",
        WasmType::Pointer => "?*const anyopaque",
        WasmType::Length => "usize",
    }
}

/// Names that are words of the language.
fn quoted(name: &str) -> String {
    if [
        "error",
        "unreachable",
        "try",
        "test",
        "var",
        "const",
        "fn",
        "pub",
    ]
    .contains(&name)
    {
        format!("@\"{name}\"")
    } else {
        name.to_owned()
    }
}
