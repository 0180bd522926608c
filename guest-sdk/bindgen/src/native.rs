//! The lowest layer of the SDKs for C, Zig, Go, JavaScript and Python. What is written by hand stands on it.
//!
//! For C, Zig and Go it is how the values of the contract lie in memory, and its functions with the parameters that they have in
//! WebAssembly. For JavaScript and Python, whose engines bring their own, it is the functions with their types, and what makes a case or a
//! function that the hand-written part does not know fail: in JavaScript the type checker, in Python a missing argument; in both a test.
//!
//! In the canonical ABI a record lies in memory as a C compiler would lay it out, and a variant as a tag with a union behind it: structs of
//! each language are its values, without a copy. Every struct asserts its size.

mod c;
mod go;
mod js;
mod python;
mod zig;

use std::path::Path;

use anyhow::{Context, Result, bail};
use wit_parser::abi::{AbiVariant, WasmSignature};
use wit_parser::{Function, InterfaceId, Resolve, SizeAlign, Type, TypeDefKind, TypeId, WorldItem};

/// Said at the top of each file.
const NOTICE: &str = "Generated from wit/ by wsrun-guest-bindgen. Do not edit.";

/// What a file is made of.
struct Model {
    /// Each after those that it is made of.
    types: Vec<Layout>,
    imports: Vec<Interface>,
    exports: Vec<Interface>,
}

struct Interface {
    /// In the contract's spelling, as everywhere here.
    name: String,
    /// With package and version.
    id: String,
    functions: Vec<Callable>,
}

struct Callable {
    name: String,
    signature: WasmSignature,
    parameters: Vec<(String, Value)>,
    result: Option<Value>,
}

struct Layout {
    name: String,
    /// Whose it is and what it is called there; none for types that the contract gives no name.
    owner: Option<(String, String)>,
    size: usize,
    align: usize,
    shape: Shape,
}

enum Shape {
    Record(Vec<(String, Value)>),
    /// A tag and what belongs to it.
    Variant(Vec<(String, Option<Value>)>),
    Enum(Vec<String>),
    List(Value),
    /// False, or true and a value.
    Optional(Value),
    /// False and a value, or true and an error.
    Outcome(Option<Value>, Option<Value>),
}

#[derive(Clone)]
enum Value {
    Bool,
    U8,
    U16,
    U32,
    U64,
    String,
    Bytes,
    /// A name of [`Model::types`].
    Named(String),
}

/// The files of the SDKs, by their paths below them, and their contents.
pub(crate) fn generate(wit: &Path) -> Result<Vec<(String, String)>> {
    let model = Model::read(wit)?;
    let mut files = vec![
        ("c/wsrun_raw.h".to_owned(), c::raw(&model)),
        ("zig/raw.zig".to_owned(), zig::raw(&model)),
        ("go/internal/abi/abi.go".to_owned(), go::raw(&model)),
    ];
    files.extend(go::exports(&model)?);
    files.extend(js::files(&model)?);
    files.extend(python::files(&model)?);
    Ok(files)
}

impl Model {
    fn read(wit: &Path) -> Result<Self> {
        let mut resolve = Resolve::default();
        let (package, _) = resolve.push_path(wit)?;
        let world = resolve.select_world(&[package], Some("full-handler"))?;
        let mut sizes = SizeAlign::default();
        sizes.fill(&resolve)?;
        let mut reader = Reader {
            resolve: &resolve,
            sizes,
            types: Vec::new(),
        };
        let world = &resolve.worlds[world];
        let imports = interfaces(world.imports.values())
            .map(|id| reader.interface(id, AbiVariant::GuestImport))
            .collect::<Result<_>>()?;
        let exports = interfaces(world.exports.values())
            .map(|id| reader.interface(id, AbiVariant::GuestExport))
            .collect::<Result<_>>()?;
        Ok(Self {
            types: reader.types,
            imports,
            exports,
        })
    }

    fn layout(&self, name: &str) -> Result<&Layout> {
        let found = self.types.iter().find(|layout| layout.name == name);
        found.with_context(|| format!("the type {name} is in the model"))
    }

    /// What a function answers with: none or a value, and the error if it has one.
    fn answer(&self, function: &Callable) -> Result<(Option<Value>, Option<Value>)> {
        if let Some(Value::Named(name)) = &function.result
            && let Shape::Outcome(ok, error) = &self.layout(name)?.shape
        {
            return Ok((ok.clone(), error.clone()));
        }
        Ok((function.result.clone(), None))
    }
}

fn interfaces<'a>(items: impl Iterator<Item = &'a WorldItem>) -> impl Iterator<Item = InterfaceId> {
    items.filter_map(|item| match item {
        WorldItem::Interface { id, .. } => Some(*id),
        WorldItem::Function(_) | WorldItem::Type { .. } => None,
    })
}

struct Reader<'a> {
    resolve: &'a Resolve,
    sizes: SizeAlign,
    types: Vec<Layout>,
}

impl Reader<'_> {
    fn interface(&mut self, id: InterfaceId, abi: AbiVariant) -> Result<Interface> {
        let interface = &self.resolve.interfaces[id];
        let functions = interface
            .functions
            .values()
            .map(|function| self.function(function, abi))
            .collect::<Result<_>>()?;
        Ok(Interface {
            name: interface.name.clone().context("an interface has a name")?,
            id: self.resolve.id_of(id).context("an interface has an id")?,
            functions,
        })
    }

    fn function(&mut self, function: &Function, abi: AbiVariant) -> Result<Callable> {
        let mut parameters = Vec::new();
        for parameter in &function.params {
            parameters.push((parameter.name.clone(), self.value(&parameter.ty)?));
        }
        let result = self.optional_value(function.result.as_ref())?;
        Ok(Callable {
            name: function.name.clone(),
            parameters,
            result,
            signature: self.resolve.wasm_signature(abi, function),
        })
    }

    fn value(&mut self, ty: &Type) -> Result<Value> {
        Ok(match ty {
            Type::Bool => Value::Bool,
            Type::U8 => Value::U8,
            Type::U16 => Value::U16,
            Type::U32 => Value::U32,
            Type::U64 => Value::U64,
            Type::String => Value::String,
            Type::Id(id) => self.defined(*id)?,
            Type::S8
            | Type::S16
            | Type::S32
            | Type::S64
            | Type::F32
            | Type::F64
            | Type::Char
            | Type::ErrorContext => bail!("{ty:?} is not used by the contract so far"),
        })
    }

    fn optional_value(&mut self, ty: Option<&Type>) -> Result<Option<Value>> {
        ty.map(|ty| self.value(ty)).transpose()
    }

    fn defined(&mut self, id: TypeId) -> Result<Value> {
        let definition = &self.resolve.types[id];
        let (name, shape) = match &definition.kind {
            TypeDefKind::Type(ty) => return self.value(ty),
            TypeDefKind::List(Type::U8) => return Ok(Value::Bytes),
            TypeDefKind::List(ty) => {
                let value = self.value(ty)?;
                (format!("list-{}", value.name()), Shape::List(value))
            }
            TypeDefKind::Option(ty) => {
                let value = self.value(ty)?;
                (format!("optional-{}", value.name()), Shape::Optional(value))
            }
            TypeDefKind::Result(result) => {
                let ok = self.optional_value(result.ok.as_ref())?;
                let error = self.optional_value(result.err.as_ref())?;
                let name =
                    |value: &Option<Value>| value.as_ref().map_or("none".to_owned(), Value::name);
                let name = format!("outcome-{}-{}", name(&ok), name(&error));
                (name, Shape::Outcome(ok, error))
            }
            TypeDefKind::Tuple(tuple) => {
                let names = ["first", "second", "third"];
                let mut fields = Vec::new();
                for (name, ty) in names.iter().zip(&tuple.types) {
                    fields.push(((*name).to_owned(), self.value(ty)?));
                }
                let parts: Vec<_> = fields.iter().map(|(_, value)| value.name()).collect();
                (format!("tuple-{}", parts.join("-")), Shape::Record(fields))
            }
            TypeDefKind::Record(record) => {
                let mut fields = Vec::new();
                for field in &record.fields {
                    fields.push((field.name.clone(), self.value(&field.ty)?));
                }
                (self.name_of(id)?, Shape::Record(fields))
            }
            TypeDefKind::Variant(variant) => {
                let mut cases = Vec::new();
                for case in &variant.cases {
                    cases.push((case.name.clone(), self.optional_value(case.ty.as_ref())?));
                }
                (self.name_of(id)?, Shape::Variant(cases))
            }
            TypeDefKind::Enum(it) => {
                let cases = it.cases.iter().map(|case| case.name.clone()).collect();
                (self.name_of(id)?, Shape::Enum(cases))
            }
            TypeDefKind::Resource
            | TypeDefKind::Handle(_)
            | TypeDefKind::Flags(_)
            | TypeDefKind::Map(..)
            | TypeDefKind::FixedLengthList(..)
            | TypeDefKind::Future(_)
            | TypeDefKind::Stream(_)
            | TypeDefKind::Unknown => {
                bail!(
                    "a {} is not used by the contract so far",
                    definition.kind.as_str()
                )
            }
        };
        if self.types.iter().all(|layout| layout.name != name) {
            let ty = Type::Id(id);
            self.types.push(Layout {
                name: name.clone(),
                owner: self.owner_of(id),
                size: self.sizes.size(&ty).size_wasm32(),
                align: self.sizes.align(&ty).align_wasm32(),
                shape,
            });
        }
        Ok(Value::Named(name))
    }

    fn owner_of(&self, id: TypeId) -> Option<(String, String)> {
        let definition = &self.resolve.types[id];
        let wit_parser::TypeOwner::Interface(owner) = definition.owner else {
            return None;
        };
        let owner = self.resolve.interfaces[owner].name.clone()?;
        Some((owner, definition.name.clone()?))
    }

    /// Types of the same name are told apart by their interfaces.
    fn name_of(&self, id: TypeId) -> Result<String> {
        let definition = &self.resolve.types[id];
        let name = definition.name.clone().context("the type has a name")?;
        let wit_parser::TypeOwner::Interface(owner) = definition.owner else {
            bail!("{name} belongs to no interface");
        };
        let owner = self.resolve.interfaces[owner].name.as_deref();
        Ok(match owner {
            Some("types") | None => name,
            Some(owner) => format!("{owner}-{name}"),
        })
    }
}

impl Value {
    fn name(&self) -> String {
        match self {
            Self::Bool => "bool",
            Self::U8 => "u8",
            Self::U16 => "u16",
            Self::U32 => "u32",
            Self::U64 => "u64",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Named(name) => name,
        }
        .to_owned()
    }
}

impl Callable {
    /// Whether the last parameter says where the result goes.
    fn returns_by_pointer(&self) -> bool {
        self.signature.retptr && self.signature.results.is_empty()
    }
}

fn snake(name: &str) -> String {
    name.replace('-', "_")
}

fn camel(name: &str) -> String {
    name.split('-')
        .map(|word| match word.split_at_checked(1) {
            Some((first, rest)) => first.to_uppercase() + rest,
            None => String::new(),
        })
        .collect()
}
