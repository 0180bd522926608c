//! The pages `docs/reference/` of the guide: the contract as a person reads it.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use wit_parser::{
    Docs, Function, Interface, InterfaceId, Resolve, Type, TypeDef, TypeDefKind, TypeOwner,
    WorldItem,
};

const NOTICE: &str = "<!-- Generated from wit/ by wsrun-guest-bindgen. Do not edit. -->\n";
/// What a component of everything has.
const WORLD: &str = "full-handler";

/// The files, by their path in guest-sdk, and their contents.
pub(crate) fn generate(wit: &Path) -> Result<Vec<(String, String)>> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(wit)?;
    let world = &resolve.worlds[resolve.select_world(&[package], Some(WORLD))?];
    // As they stand in the files: the most important first.
    let mut source = String::new();
    for file in ["exports", "imports", "types"] {
        let file = wit.join(file).with_extension("wit");
        source += &std::fs::read_to_string(&file)
            .with_context(|| format!("reading {}", file.display()))?;
    }
    let in_order = |mut items: Vec<InterfaceId>| -> Vec<InterfaceId> {
        items.sort_by_key(|&id| {
            let name = resolve.interfaces[id].name.as_deref().unwrap_or_default();
            source.find(&format!("interface {name} {{"))
        });
        items
    };
    let exports = in_order(interfaces(world.exports.values()));
    let imports = in_order(interfaces(world.imports.values()));
    // Types are imported by whatever uses them.
    let (types, imports): (Vec<_>, Vec<_>) = imports
        .into_iter()
        .partition(|&id| resolve.interfaces[id].functions.is_empty());
    let pages = [
        (
            "exports",
            "What a handler exports",
            "The host calls these. A handler has `handler`, and of the others those that it wants; the host looks at what a component exports.",
            exports,
        ),
        (
            "imports",
            "What a handler imports",
            "A handler calls these, and needs not import what it does not call.",
            imports,
        ),
        ("types", "Types", "What several interfaces speak of.", types),
    ];
    let mut files = vec![("wit.md", overview(&resolve, package, &pages)?)];
    let printer = Printer { resolve: &resolve };
    let mut texts = Vec::new();
    for (name, title, about, interfaces) in &pages {
        let mut text = format!("{NOTICE}\n# {title}\n\n{about}\n");
        for &id in interfaces {
            text += &printer.interface(&resolve.interfaces[id])?;
        }
        texts.push((format!("{name}.md"), text));
    }
    let files = files
        .drain(..)
        .map(|(name, text)| (name.to_owned(), text))
        .chain(texts);
    Ok(files
        .map(|(name, text)| (format!("../docs/reference/{name}"), text))
        .collect())
}

type Page<'a> = (&'a str, &'a str, &'a str, Vec<InterfaceId>);

fn interfaces<'a>(items: impl Iterator<Item = &'a WorldItem>) -> Vec<InterfaceId> {
    items
        .filter_map(|item| match item {
            WorldItem::Interface { id, .. } => Some(*id),
            WorldItem::Function(_) | WorldItem::Type { .. } => None,
        })
        .collect()
}

fn overview(
    resolve: &Resolve,
    package: wit_parser::PackageId,
    pages: &[Page<'_>],
) -> Result<String> {
    let package = &resolve.packages[package];
    let mut text = format!("{NOTICE}\n# The contract\n\n`{}`\n\n", package.name);
    text += &docs(&package.docs);
    text += "\nSDKs call things by the names of their language; this is what is underneath, and what a language without an SDK is \
             written for. The files are in [`wit/`](../../wit/).\n";
    for (name, title, _, interfaces) in pages {
        let _ = write!(
            text,
            "\n## [{title}]({name}.md)\n\n| interface | |\n|---|---|\n"
        );
        for &id in interfaces {
            let interface = &resolve.interfaces[id];
            let interface_name = interface
                .name
                .as_deref()
                .context("an interface has a name")?;
            let about = docs(&interface.docs);
            let about = about.split("\n\n").next().unwrap_or_default();
            let about = about.replace('\n', " ");
            let sentence = about.split_inclusive(". ").next().unwrap_or_default();
            let _ = writeln!(
                text,
                "| [`{interface_name}`]({name}.md#{interface_name}) | {} |",
                sentence.trim()
            );
        }
    }
    Ok(text)
}

/// As it stands in the file; empty, or ending with a line end.
fn docs(docs: &Docs) -> String {
    match docs.contents.as_deref().map(str::trim) {
        Some(text) if !text.is_empty() => format!("{text}\n"),
        Some(_) | None => String::new(),
    }
}

struct Printer<'a> {
    resolve: &'a Resolve,
}

impl Printer<'_> {
    fn interface(&self, interface: &Interface) -> Result<String> {
        let name = interface
            .name
            .as_deref()
            .context("an interface has a name")?;
        let mut text = format!("\n## {name}\n\n{}", docs(&interface.docs));
        for function in interface.functions.values() {
            let _ = write!(
                text,
                "\n### {}\n\n```wit\n{}\n```\n\n{}",
                function.name,
                self.function(function)?,
                docs(&function.docs)
            );
        }
        for (name, &id) in &interface.types {
            let definition = &self.resolve.types[id];
            // What is used from elsewhere is told there.
            if let TypeDefKind::Type(Type::Id(_)) = definition.kind {
                continue;
            }
            text += &self.definition(name, definition)?;
        }
        Ok(text)
    }

    fn function(&self, function: &Function) -> Result<String> {
        let parameters = function
            .params
            .iter()
            .map(|parameter| Ok(format!("{}: {}", parameter.name, self.ty(&parameter.ty)?)))
            .collect::<Result<Vec<_>>>()?;
        let result = match &function.result {
            Some(ty) => format!(" -> {}", self.ty(ty)?),
            None => String::new(),
        };
        Ok(format!(
            "{}: func({}){result}",
            function.name,
            parameters.join(", ")
        ))
    }

    fn definition(&self, name: &str, definition: &TypeDef) -> Result<String> {
        let mut text = String::new();
        let kind = definition.kind.as_str();
        let _ = write!(text, "\n### {kind} {name}\n\n{}", docs(&definition.docs));
        let members: Vec<(String, &Docs)> = match &definition.kind {
            TypeDefKind::Record(record) => record
                .fields
                .iter()
                .map(|field| {
                    Ok((
                        format!("{}: {}", field.name, self.ty(&field.ty)?),
                        &field.docs,
                    ))
                })
                .collect::<Result<_>>()?,
            TypeDefKind::Variant(variant) => variant
                .cases
                .iter()
                .map(|case| {
                    let value = match &case.ty {
                        Some(ty) => format!("({})", self.ty(ty)?),
                        None => String::new(),
                    };
                    Ok((format!("{}{value}", case.name), &case.docs))
                })
                .collect::<Result<_>>()?,
            TypeDefKind::Enum(cases) => cases
                .cases
                .iter()
                .map(|case| (case.name.clone(), &case.docs))
                .collect(),
            TypeDefKind::Type(ty) => {
                let _ = write!(text, "\n```wit\ntype {name} = {}\n```\n", self.ty(ty)?);
                Vec::new()
            }
            TypeDefKind::Resource
            | TypeDefKind::Handle(_)
            | TypeDefKind::Flags(_)
            | TypeDefKind::Tuple(_)
            | TypeDefKind::Option(_)
            | TypeDefKind::Result(_)
            | TypeDefKind::List(_)
            | TypeDefKind::Map(..)
            | TypeDefKind::FixedLengthList(..)
            | TypeDefKind::Future(_)
            | TypeDefKind::Stream(_)
            | TypeDefKind::Unknown => anyhow::bail!("a {kind} is not used by the contract so far"),
        };
        if !members.is_empty() {
            text += "\n| | |\n|---|---|\n";
        }
        for (member, about) in members {
            let about = docs(about).trim().replace('\n', " ").replace('|', "\\|");
            let _ = writeln!(text, "| `{member}` | {about} |");
        }
        Ok(text)
    }

    fn ty(&self, ty: &Type) -> Result<String> {
        Ok(match ty {
            Type::Bool => "bool".to_owned(),
            Type::U8 => "u8".to_owned(),
            Type::U16 => "u16".to_owned(),
            Type::U32 => "u32".to_owned(),
            Type::U64 => "u64".to_owned(),
            Type::String => "string".to_owned(),
            Type::Id(id) => self.defined(&self.resolve.types[*id])?,
            Type::S8
            | Type::S16
            | Type::S32
            | Type::S64
            | Type::F32
            | Type::F64
            | Type::Char
            | Type::ErrorContext => anyhow::bail!("{ty:?} is not used by the contract so far"),
        })
    }

    fn defined(&self, definition: &TypeDef) -> Result<String> {
        if let (Some(name), TypeOwner::Interface(_)) = (&definition.name, definition.owner) {
            return Ok(name.clone());
        }
        let optional = |ty: Option<&Type>| match ty {
            Some(ty) => self.ty(ty),
            None => Ok("_".to_owned()),
        };
        Ok(match &definition.kind {
            TypeDefKind::List(ty) => format!("list<{}>", self.ty(ty)?),
            TypeDefKind::Option(ty) => format!("option<{}>", self.ty(ty)?),
            TypeDefKind::Result(result) => match &result.err {
                Some(error) => format!(
                    "result<{}, {}>",
                    optional(result.ok.as_ref())?,
                    self.ty(error)?
                ),
                None => format!("result<{}>", optional(result.ok.as_ref())?),
            },
            TypeDefKind::Tuple(tuple) => {
                let types = tuple.types.iter().map(|ty| self.ty(ty));
                format!("tuple<{}>", types.collect::<Result<Vec<_>>>()?.join(", "))
            }
            TypeDefKind::Record(_)
            | TypeDefKind::Resource
            | TypeDefKind::Handle(_)
            | TypeDefKind::Flags(_)
            | TypeDefKind::Variant(_)
            | TypeDefKind::Enum(_)
            | TypeDefKind::Map(..)
            | TypeDefKind::FixedLengthList(..)
            | TypeDefKind::Future(_)
            | TypeDefKind::Stream(_)
            | TypeDefKind::Type(_)
            | TypeDefKind::Unknown => anyhow::bail!(
                "a {} without a name is not used by the contract so far",
                definition.kind.as_str()
            ),
        })
    }
}
