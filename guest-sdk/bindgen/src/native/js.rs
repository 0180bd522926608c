//! `lib/raw` of the SDK for JavaScript: a module for each import, what the exports are called, and the types of both.

use std::fmt::Write as _;

use anyhow::Result;

use super::{Callable, Interface, Layout, Model, NOTICE, Shape, Value, camel};

pub(super) fn files(model: &Model) -> Result<Vec<(String, String)>> {
    let mut files = vec![
        ("js/lib/raw/types.d.ts".to_owned(), types(model)?),
        ("js/lib/raw/exports.js".to_owned(), exports(model)),
        ("js/lib/raw/exports.d.ts".to_owned(), export_types(model)?),
        ("js/tests/contract.js".to_owned(), contract(model)?),
    ];
    for interface in called(&model.imports) {
        let path = format!("js/lib/raw/{}", interface.name);
        files.push((
            format!("{path}.js"),
            format!(
                "// {NOTICE}\n\nexport {{ default }} from \"{}\";\n",
                interface.id
            ),
        ));
        let mut text = format!(
            "// {NOTICE}\n\nimport type * as types from \"./types.js\";\n\ndeclare const host: {{\n"
        );
        functions(&mut text, model, interface, "  ")?;
        text.push_str("};\nexport default host;\n");
        files.push((format!("{path}.d.ts"), text));
    }
    Ok(files)
}

/// Those that are more than types for others.
fn called(interfaces: &[Interface]) -> impl Iterator<Item = &Interface> {
    interfaces
        .iter()
        .filter(|interface| !interface.functions.is_empty())
}

fn types(model: &Model) -> Result<String> {
    let mut text = format!("// {NOTICE}\n");
    for layout in model.types.iter().filter(|layout| layout.owner.is_some()) {
        text.push('\n');
        definition(&mut text, model, layout)?;
    }
    let mut errors = Vec::new();
    for function in called(&model.imports).flat_map(|interface| &interface.functions) {
        if let (_, Some(error)) = model.answer(function)? {
            errors.push(value(model, &error, "")?);
        }
    }
    errors.sort();
    errors.dedup();
    let _ = write!(
        text,
        "\n/** What the functions of the host answer with when they do not do what they are asked for. */\n\
         export type HostError =\n  | {};\n\n\
         /** What is made of each case of a variant. */\n\
         export type Made<V extends {{ tag: string; val?: unknown }}, T> = {{\n  \
         [K in V[\"tag\"]]: (val: Extract<V, {{ tag: K }}>[\"val\"]) => T;\n}};\n",
        errors.join("\n  | ")
    );
    Ok(text)
}

fn definition(text: &mut String, model: &Model, layout: &Layout) -> Result<()> {
    let name = camel(&layout.name);
    match &layout.shape {
        Shape::Record(fields) => {
            let _ = writeln!(text, "export interface {name} {{");
            for (field, of) in fields {
                let _ = writeln!(text, "  {}: {};", lower(field), value(model, of, "")?);
            }
            text.push_str("}\n");
        }
        Shape::Variant(cases) => {
            let _ = write!(text, "export type {name} =");
            for (case, of) in cases {
                let val = match of {
                    Some(of) => format!("val: {}", value(model, of, "")?),
                    None => "val?: undefined".to_owned(),
                };
                let _ = write!(text, "\n  | {{ tag: \"{case}\"; {val} }}");
            }
            text.push_str(";\n");
        }
        Shape::Enum(cases) => {
            let cases: Vec<String> = cases.iter().map(|case| format!("\"{case}\"")).collect();
            let _ = writeln!(text, "export type {name} = {};", cases.join(" | "));
        }
        Shape::List(_) | Shape::Optional(_) | Shape::Outcome(..) => {
            unreachable!("the contract gives these no names")
        }
    }
    Ok(())
}

fn exports(model: &Model) -> String {
    let mut text = format!(
        "// {NOTICE}\n\n/** The exports of the contract: what a world calls them, and what the module. */\nexport const EXPORTS = {{\n"
    );
    for interface in &model.exports {
        let _ = writeln!(
            text,
            "  \"{}\": {{ id: \"{}\", name: \"{}\" }},",
            interface.name,
            interface.id,
            lower(&interface.name)
        );
    }
    text.push_str("};\n");
    text
}

fn export_types(model: &Model) -> Result<String> {
    let mut text = format!("// {NOTICE}\n\nimport type * as types from \"./types.js\";\n\n");
    text.push_str("/** What a module exports: a result with an error is answered with what is thrown. */\nexport interface Exports {\n");
    for interface in &model.exports {
        let _ = writeln!(text, "  {}: {{", lower(&interface.name));
        functions(&mut text, model, interface, "    ")?;
        text.push_str("  };\n");
    }
    let names: Vec<String> = model
        .exports
        .iter()
        .map(|interface| format!("\"{}\"", interface.name))
        .collect();
    let _ = write!(
        text,
        "}}\n\nexport type ExportName =\n  | {};\n\n\
         export const EXPORTS: Record<ExportName, {{ id: string; name: keyof Exports }}>;\n",
        names.join("\n  | ")
    );
    Ok(text)
}

fn functions(text: &mut String, model: &Model, interface: &Interface, indent: &str) -> Result<()> {
    for function in &interface.functions {
        let mut parameters = Vec::new();
        for (name, of) in &function.parameters {
            parameters.push(format!("{}: {}", lower(name), value(model, of, "types.")?));
        }
        let result = match model.answer(function)?.0 {
            Some(of) => value(model, &of, "types.")?,
            None => "void".to_owned(),
        };
        let _ = writeln!(
            text,
            "{indent}{}({}): {result};",
            lower(&function.name),
            parameters.join(", ")
        );
    }
    Ok(())
}

/// What the tests of the SDK go by: functions with the cases of their errors, and the cases of every variant.
fn contract(model: &Model) -> Result<String> {
    let mut text = format!(
        "// {NOTICE}\n\n/** The functions of the host, and the cases of the errors that they answer with. */\nexport const IMPORTS = {{\n"
    );
    for interface in called(&model.imports) {
        let _ = writeln!(text, "  \"{}\": {{", interface.name);
        for function in &interface.functions {
            let errors = errors(model, function)?;
            let _ = writeln!(text, "    {}: [{errors}],", lower(&function.name));
        }
        text.push_str("  },\n");
    }
    text.push_str("};\n\n/** How many values each function of an export is given. */\nexport const EXPORTED = {\n");
    for interface in &model.exports {
        let _ = writeln!(text, "  {}: {{", lower(&interface.name));
        for function in &interface.functions {
            let _ = writeln!(
                text,
                "    {}: {},",
                lower(&function.name),
                function.parameters.len()
            );
        }
        text.push_str("  },\n");
    }
    text.push_str("};\n\n/** The cases of variants and enums. */\nexport const CASES = {\n");
    for layout in &model.types {
        let cases: Vec<&String> = match &layout.shape {
            Shape::Variant(cases) => cases.iter().map(|(case, _)| case).collect(),
            Shape::Enum(cases) => cases.iter().collect(),
            Shape::Record(_) | Shape::List(_) | Shape::Optional(_) | Shape::Outcome(..) => continue,
        };
        let _ = writeln!(text, "  {}: {cases:?},", camel(&layout.name));
    }
    text.push_str("};\n");
    Ok(text)
}

fn errors(model: &Model, function: &Callable) -> Result<String> {
    let (_, error) = model.answer(function)?;
    let Some(Value::Named(name)) = error else {
        return Ok(String::new());
    };
    let Shape::Variant(cases) = &model.layout(&name)?.shape else {
        return Ok(String::new());
    };
    let cases: Vec<String> = cases
        .iter()
        .map(|(case, _)| format!("\"{case}\""))
        .collect();
    Ok(cases.join(", "))
}

/// The type of a value. `types` is before the names of the contract's.
fn value(model: &Model, of: &Value, types: &str) -> Result<String> {
    Ok(match of {
        Value::Bool => "boolean".to_owned(),
        Value::U8 | Value::U16 | Value::U32 | Value::U64 => "number".to_owned(),
        Value::String => "string".to_owned(),
        Value::Bytes => "Uint8Array".to_owned(),
        Value::Named(name) => {
            let layout = model.layout(name)?;
            match &layout.shape {
                Shape::List(of) => format!("{}[]", value(model, of, types)?),
                Shape::Optional(of) => format!("{} | null", value(model, of, types)?),
                Shape::Record(fields) if layout.owner.is_none() => {
                    let parts: Result<Vec<String>> = fields
                        .iter()
                        .map(|(_, of)| value(model, of, types))
                        .collect();
                    format!("[{}]", parts?.join(", "))
                }
                Shape::Outcome(..) => anyhow::bail!("{name} is a result inside of a value"),
                Shape::Record(_) | Shape::Variant(_) | Shape::Enum(_) => {
                    format!("{types}{}", camel(name))
                }
            }
        }
    })
}

fn lower(name: &str) -> String {
    let name = camel(name);
    match name.split_at_checked(1) {
        Some((first, rest)) => first.to_lowercase() + rest,
        None => name,
    }
}
