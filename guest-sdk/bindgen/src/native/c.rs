//! `wsrun_raw.h`.

use std::fmt::Write as _;

use wit_parser::abi::WasmType;

use super::{Callable, Layout, Model, NOTICE, Shape, Value, snake};

const PREFIX: &str = "wsrun_raw";

pub(super) fn raw(model: &Model) -> String {
    let mut text = format!(
        "/* {NOTICE} */\n#ifndef WSRUN_RAW_H\n#define WSRUN_RAW_H\n\n#include <stddef.h>\n#include <stdint.h>\n\n\
         typedef struct {{ const char *data; size_t size; }} {PREFIX}_string;\n\
         typedef struct {{ const uint8_t *data; size_t size; }} {PREFIX}_bytes;\n\n"
    );
    for layout in &model.types {
        definition(&mut text, layout);
    }
    for interface in &model.imports {
        let _ = writeln!(text, "/* {} */\n", interface.id);
        for function in &interface.functions {
            let _ = writeln!(
                text,
                "__attribute__((import_module(\"{}\"), import_name(\"{}\")))\nextern {} {PREFIX}_{}_{}({});\n",
                interface.id,
                function.name,
                function
                    .signature
                    .results
                    .first()
                    .map_or("void", |&ty| core(ty)),
                snake(&interface.name),
                snake(&function.name),
                parameters(function)
            );
        }
    }
    text.push_str("/* Names of exports. */\n\n");
    for interface in &model.exports {
        for function in &interface.functions {
            let _ = writeln!(
                text,
                "#define {}_{}_{} \"{}#{}\"",
                PREFIX.to_uppercase(),
                snake(&interface.name).to_uppercase(),
                snake(&function.name).to_uppercase(),
                interface.id,
                function.name
            );
        }
    }
    text.push_str("\n#endif\n");
    text
}

fn definition(text: &mut String, layout: &Layout) {
    let name = format!("{PREFIX}_{}", snake(&layout.name));
    let upper = name.to_uppercase();
    match &layout.shape {
        Shape::Record(fields) => {
            let _ = writeln!(text, "typedef struct {{");
            for (field, value) in fields {
                let _ = writeln!(text, "    {} {};", spelled(value), snake(field));
            }
            let _ = writeln!(text, "}} {name};");
        }
        Shape::Variant(cases) => {
            let values = cases.iter().filter_map(|(case, value)| {
                let value = value.as_ref()?;
                Some(format!("{} {};", spelled(value), snake(case)))
            });
            let values: Vec<_> = values.collect();
            let values = match values.as_slice() {
                [] => String::new(),
                values => format!("\n    union {{ {} }} value;", values.join(" ")),
            };
            let _ = writeln!(
                text,
                "typedef struct {{\n    uint8_t tag;{values}\n}} {name};"
            );
            let cases: Vec<_> = cases.iter().map(|(case, _)| case).collect();
            constants(text, &upper, &cases);
        }
        Shape::Enum(cases) => {
            let _ = writeln!(text, "typedef uint8_t {name};");
            constants(text, &upper, &cases.iter().collect::<Vec<_>>());
        }
        Shape::List(value) => {
            let _ = writeln!(
                text,
                "typedef struct {{\n    const {} *items;\n    size_t count;\n}} {name};",
                spelled(value)
            );
        }
        Shape::Optional(value) => {
            let _ = writeln!(
                text,
                "typedef struct {{\n    uint8_t some;\n    {} value;\n}} {name};",
                spelled(value)
            );
        }
        Shape::Outcome(ok, error) => {
            let part = |value: &Option<Value>, name: &str| {
                value
                    .as_ref()
                    .map(|value| format!(" {} {name};", spelled(value)))
                    .unwrap_or_default()
            };
            let _ = writeln!(
                text,
                "typedef struct {{\n    uint8_t failed;\n    union {{{}{} }} value;\n}} {name};",
                part(ok, "ok"),
                part(error, "error")
            );
        }
    }
    let _ = writeln!(
        text,
        "_Static_assert(sizeof({name}) == {} && _Alignof({name}) == {}, \"{name}\");\n",
        layout.size, layout.align
    );
}

fn constants(text: &mut String, prefix: &str, cases: &[&String]) {
    for (number, case) in cases.iter().enumerate() {
        let _ = writeln!(
            text,
            "#define {prefix}_{} {number}",
            snake(case).to_uppercase()
        );
    }
}

fn spelled(value: &Value) -> String {
    match value {
        Value::Bool | Value::U8 => "uint8_t".to_owned(),
        Value::U16 => "uint16_t".to_owned(),
        Value::U32 => "uint32_t".to_owned(),
        Value::U64 => "uint64_t".to_owned(),
        Value::String => format!("{PREFIX}_string"),
        Value::Bytes => format!("{PREFIX}_bytes"),
        Value::Named(name) => format!("{PREFIX}_{}", snake(name)),
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
        *last = "void *";
    }
    if parameters.is_empty() {
        return "void".to_owned();
    }
    parameters.join(", ")
}

fn core(ty: WasmType) -> &'static str {
    match ty {
        WasmType::I32 => "uint32_t",
        WasmType::I64 | WasmType::PointerOrI64 => "uint64_t",
        WasmType::F32 => "float",
        WasmType::F64 => "double",
        WasmType::Pointer => "const void *",
        WasmType::Length => "size_t",
    }
}
