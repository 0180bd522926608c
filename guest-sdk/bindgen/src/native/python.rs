//! `wsrun/_raw` of the SDK for Python: a module for each import, with the functions that componentize-py makes of them and their types, and
//! what asks for a value for each case of a variant. And `wsrun_build/_contract.py`, what the build knows of the contract.
//!
//! For the tests of the SDK also what componentize-py would make: `wit_world`, with functions that are answered by the test.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail};

use super::{Callable, Interface, Layout, Model, NOTICE, Shape, Value, camel, snake};

pub(super) fn files(model: &Model) -> Result<Vec<(String, String)>> {
    let mut files = vec![
        ("python/wsrun/_raw/__init__.py".to_owned(), cases(model)),
        (
            "python/wsrun_build/_contract.py".to_owned(),
            contract(model)?,
        ),
    ];
    for interface in called(&model.imports) {
        files.push((
            format!("python/wsrun/_raw/{}.py", snake(&interface.name)),
            import(model, interface)?,
        ));
    }
    for (folder, interfaces) in [("imports", &model.imports), ("exports", &model.exports)] {
        let modules = interfaces.iter().filter(|interface| {
            folder == "imports" || owned(model, &interface.name).next().is_some()
        });
        for interface in modules {
            files.push((
                format!(
                    "python/tests/world/wit_world/{folder}/{}.py",
                    snake(&interface.name)
                ),
                world(model, interface, folder == "imports")?,
            ));
        }
    }
    Ok(files)
}

fn called(interfaces: &[Interface]) -> impl Iterator<Item = &Interface> {
    interfaces
        .iter()
        .filter(|interface| !interface.functions.is_empty())
}

/// The types of an interface by their names in it.
fn owned<'a>(model: &'a Model, interface: &'a str) -> impl Iterator<Item = (&'a str, &'a Layout)> {
    model.types.iter().filter_map(move |layout| {
        let (owner, name) = layout.owner.as_ref()?;
        (owner == interface).then_some((name.as_str(), layout))
    })
}

fn cases(model: &Model) -> String {
    let mut text = format!(
        "# {NOTICE}\n\"\"\"What belongs to each case of the variants and enums of the contract: a case that a caller does not name is an error.\"\"\"\n\n\
         from __future__ import annotations\n\n\
         from typing import TypeVar\n\n\
         from wit_world.imports import {}\n\n\
         T = TypeVar(\"T\")\n",
        model
            .imports
            .iter()
            .filter(|interface| owned(model, &interface.name).next().is_some())
            .map(|interface| snake(&interface.name))
            .collect::<Vec<_>>()
            .join(", ")
    );
    for interface in &model.imports {
        for (name, layout) in owned(model, &interface.name) {
            let module = snake(&interface.name);
            let class = format!("{module}.{}", camel(name));
            let (of, cases): (&str, Vec<(String, String)>) = match &layout.shape {
                Shape::Variant(cases) => {
                    let case = |(case, _): &(String, Option<Value>)| {
                        (snake(case), format!("{class}_{}", camel(case)))
                    };
                    ("type", cases.iter().map(case).collect())
                }
                Shape::Enum(cases) => {
                    let case = |case: &String| {
                        (
                            snake(case),
                            format!("{class}.{}", snake(case).to_uppercase()),
                        )
                    };
                    (&class, cases.iter().map(case).collect())
                }
                Shape::Record(_) | Shape::List(_) | Shape::Optional(_) | Shape::Outcome(..) => {
                    continue;
                }
            };
            let parameters: Vec<String> = cases
                .iter()
                .map(|(case, _)| format!("    {case}: T,\n"))
                .collect();
            let entries: Vec<String> = cases
                .iter()
                .map(|(case, raw)| format!("        {raw}: {case},\n"))
                .collect();
            let _ = write!(
                text,
                "\n\ndef {}_cases(\n    *,\n{}) -> dict[{of}, T]:\n    \"\"\"A value for each case of ``{}.{name}``.\"\"\"\n    return {{\n{}    }}\n",
                snake(&layout.name),
                parameters.concat(),
                interface.name,
                entries.concat()
            );
        }
    }
    text
}

fn import(model: &Model, interface: &Interface) -> Result<String> {
    let module = snake(&interface.name);
    let mut functions = String::new();
    for function in &interface.functions {
        let mut parameters = Vec::new();
        for (_, of) in &function.parameters {
            parameters.push(value(model, of, &interface.name, "_host.")?);
        }
        let name = safe(&function.name);
        let _ = writeln!(
            functions,
            "{name}: Callable[[{}], {}] = _host.{name}",
            parameters.join(", "),
            answer(model, function, &interface.name, "_host.")?
        );
    }
    let optional = match functions.contains("Optional[") {
        true => ", Optional",
        false => "",
    };
    let types = match functions.contains("types.") {
        true => ", types",
        false => "",
    };
    Ok(format!(
        "# {NOTICE}\n\"\"\"The functions of ``{}``: what one answers with in place of a result is raised as ``Err``.\"\"\"\n\n\
         from __future__ import annotations\n\n\
         from typing import Callable{optional}\n\n\
         from wit_world.imports import {module} as _host{types}\n\n\
         {functions}",
        interface.name
    ))
}

fn contract(model: &Model) -> Result<String> {
    let first = model.exports.first().context("there are exports")?;
    let (package, version) = first.id.split_once('@').context("an id has a version")?;
    let package = package.split('/').next().context("an id has a package")?;
    let mut text = format!(
        "# {NOTICE}\n\"\"\"What the build knows of the contract.\"\"\"\n\n\
         PACKAGE = \"{package}@{version}\"\n\n"
    );
    for (name, about, interfaces) in [
        ("IMPORTS", "The functions of the host", &model.imports),
        (
            "EXPORTS",
            "The functions that a component can export",
            &model.exports,
        ),
    ] {
        let _ = writeln!(text, "{name}: dict[str, dict[str, list[str]]] = {{");
        for interface in called(interfaces) {
            let _ = writeln!(text, "    \"{}\": {{", interface.name);
            for function in &interface.functions {
                let parameters: Vec<String> = function
                    .parameters
                    .iter()
                    .map(|(name, _)| safe(name))
                    .collect();
                let _ = writeln!(
                    text,
                    "        \"{}\": {parameters:?},",
                    safe(&function.name)
                );
            }
            text.push_str("    },\n");
        }
        let _ = writeln!(
            text,
            "}}\n\"\"\"{about}, with the names of their parameters.\"\"\"\n"
        );
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    Ok(text)
}

/// What componentize-py makes of an interface.
fn world(model: &Model, interface: &Interface, imported: bool) -> Result<String> {
    let mut text = format!("# {NOTICE}\nfrom __future__ import annotations\n\n");
    text.push_str("from dataclasses import dataclass\nfrom enum import Enum\nfrom typing import Optional, Union\n\n");
    if interface.name != "types" {
        text.push_str("from wit_world.imports import types\n\n");
    }
    if imported {
        text.push_str("from fake_host import asked\n\n");
    }
    for (name, layout) in owned(model, &interface.name) {
        let class = camel(name);
        match &layout.shape {
            Shape::Record(fields) => {
                let _ = writeln!(text, "\n@dataclass\nclass {class}:");
                for (field, of) in fields {
                    let of = value(model, of, &interface.name, "")?;
                    let _ = writeln!(text, "    {}: {of}", safe(field));
                }
                text.push('\n');
            }
            Shape::Variant(cases) => {
                for (case, of) in cases {
                    let _ = writeln!(text, "\n@dataclass\nclass {class}_{}:", camel(case));
                    let of = of.as_ref().map(|of| value(model, of, &interface.name, ""));
                    let of = of.transpose()?;
                    let _ = match of {
                        Some(of) => writeln!(text, "    value: {of}\n"),
                        None => writeln!(text, "    pass\n"),
                    };
                }
                let names: Vec<String> = cases
                    .iter()
                    .map(|(case, _)| format!("{class}_{}", camel(case)))
                    .collect();
                let _ = writeln!(text, "\n{class} = Union[{}]\n", names.join(", "));
            }
            Shape::Enum(cases) => {
                let _ = writeln!(text, "\nclass {class}(Enum):");
                for (number, case) in cases.iter().enumerate() {
                    let _ = writeln!(text, "    {} = {number}", snake(case).to_uppercase());
                }
                text.push('\n');
            }
            Shape::List(_) | Shape::Optional(_) | Shape::Outcome(..) => {
                bail!("{name} is a list, an option or a result with a name")
            }
        }
    }
    for function in interface.functions.iter().filter(|_| imported) {
        let mut parameters = Vec::new();
        for (name, of) in &function.parameters {
            parameters.push(format!(
                "{}: {}",
                safe(name),
                value(model, of, &interface.name, "")?
            ));
        }
        let name = safe(&function.name);
        let names: Vec<String> = function
            .parameters
            .iter()
            .map(|(name, _)| safe(name))
            .collect();
        let _ = writeln!(
            text,
            "\ndef {name}({}) -> {}:\n    return asked(\"{}\", \"{name}\", {})\n",
            parameters.join(", "),
            answer(model, function, &interface.name, "")?,
            interface.name,
            names.join(", ")
        );
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    Ok(text)
}

fn answer(model: &Model, function: &Callable, interface: &str, own: &str) -> Result<String> {
    match model.answer(function)?.0 {
        Some(of) => value(model, &of, interface, own),
        None => Ok("None".to_owned()),
    }
}

/// The type of a value, in a module of this interface; `own` is before the names of its own types.
fn value(model: &Model, of: &Value, interface: &str, own: &str) -> Result<String> {
    Ok(match of {
        Value::Bool => "bool".to_owned(),
        Value::U8 | Value::U16 | Value::U32 | Value::U64 => "int".to_owned(),
        Value::String => "str".to_owned(),
        Value::Bytes => "bytes".to_owned(),
        Value::Named(name) => {
            let layout = model.layout(name)?;
            match (&layout.shape, &layout.owner) {
                (Shape::List(of), _) => format!("list[{}]", value(model, of, interface, own)?),
                (Shape::Optional(of), _) => {
                    format!("Optional[{}]", value(model, of, interface, own)?)
                }
                (Shape::Record(fields), None) => {
                    let parts: Result<Vec<String>> = fields
                        .iter()
                        .map(|(_, of)| value(model, of, interface, own))
                        .collect();
                    format!("tuple[{}]", parts?.join(", "))
                }
                (_, Some((owner, name))) if owner == interface => format!("{own}{}", camel(name)),
                (_, Some((owner, name))) => format!("{}.{}", snake(owner), camel(name)),
                (Shape::Outcome(..) | Shape::Variant(_) | Shape::Enum(_), None) => {
                    bail!("{name} is a result inside of a value")
                }
            }
        }
    })
}

/// A name that is no word of the language.
fn safe(name: &str) -> String {
    let name = snake(name);
    match KEYWORDS.contains(&name.as_str()) {
        true => name + "_",
        false => name,
    }
}

const KEYWORDS: [&str; 35] = [
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue",
    "def", "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import",
    "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while",
    "with", "yield",
];
