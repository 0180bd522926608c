//! Projects made of the templates of the SDKs, and built with the language's own command.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::handlers::source;
use crate::server::{binary, kept_folder};

/// Says that a test may not be skipped because its compiler is missing.
const REQUIRED: &str = "WSRUN_TOOLCHAINS";
/// Where `scripts/toolchains-native` puts compilers.
const TOOLCHAINS: &str = "WSRUN_TOOLCHAINS_DIR";
const NAME: &str = "project";

/// A language that has an SDK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// C, compiled by clang.
    C,
    /// C++, with the SDK for C.
    Cpp,
    /// C, compiled by Zig.
    CByZig,
    /// Go.
    Go,
    /// Zig.
    Zig,
    /// JavaScript.
    Js,
    /// TypeScript, with the SDK for JavaScript.
    Ts,
    /// Python.
    Python,
    /// Rust, whose SDK is the folder of the SDKs itself.
    Rust,
}

impl Language {
    /// The folder of its SDK.
    pub fn sdk(self) -> &'static str {
        match self {
            Self::C | Self::Cpp | Self::CByZig => "c",
            Self::Go => "go",
            Self::Zig => "zig",
            Self::Js | Self::Ts => "js",
            Self::Python => "python",
            Self::Rust => ".",
        }
    }

    /// The folder of its templates, which is what `wsrun new` calls the language.
    pub fn templates(self) -> &'static str {
        match self {
            Self::Ts => "ts",
            Self::Rust => "rust",
            Self::C | Self::Cpp | Self::CByZig | Self::Go | Self::Zig | Self::Js | Self::Python => {
                self.sdk()
            }
        }
    }

    /// What must run for its compiler to be there, and what its output has if the compiler is new enough.
    fn probes(self) -> &'static [(&'static [&'static str], &'static [&'static str])] {
        const MAKE: (&[&str], &[&str]) = (&["make", "--version"], &[]);
        const LINKER: (&[&str], &[&str]) = (&["wasm-ld", "--version"], &[]);
        const ZIG: (&[&str], &[&str]) = (&["zig", "version"], &["0.17.", "0.18."]);
        match self {
            Self::C => &[MAKE, LINKER, (&["clang", "--version"], &[])],
            Self::Cpp => &[MAKE, LINKER, (&["clang++", "--version"], &[])],
            Self::CByZig => &[MAKE, ZIG],
            Self::Go => &[
                MAKE,
                (
                    &["go", "version"],
                    &["go1.24", "go1.25", "go1.26", "go1.27", "go1.28"],
                ),
            ],
            Self::Zig => &[ZIG],
            Self::Js | Self::Ts => &[
                (
                    &["node", "--version"],
                    &["v20.", "v22.", "v24.", "v25.", "v26."],
                ),
                (&["npm", "--version"], &[]),
            ],
            // The builder itself is installed by `make`.
            Self::Rust => &[(&["cargo", "--version"], &[])],
            Self::Python => &[MAKE, (&["python3", "-c", "import venv"], &[])],
        }
    }

    /// The commands, one after the other.
    fn build(self) -> &'static [&'static [&'static str]] {
        match self {
            Self::C | Self::Cpp | Self::Go | Self::Python => &[&["make"]],
            Self::Rust => &[&["cargo", "build", "--release", "--target", "wasm32-wasip2"]],
            Self::CByZig => &[&["make", "WASI_CC=zig cc", "WASI_CXX=zig c++"]],
            Self::Zig => &[&["zig", "build"]],
            Self::Js | Self::Ts => &[
                &[
                    "npm",
                    "install",
                    "--prefer-offline",
                    "--no-audit",
                    "--no-fund",
                ],
                &["npm", "run", "build"],
            ],
        }
    }

    /// What its source files end with.
    pub fn extension(self) -> &'static str {
        match self {
            Self::C | Self::CByZig => "c",
            Self::Cpp => "cpp",
            Self::Go => "go",
            Self::Zig => "zig",
            Self::Js => "js",
            Self::Ts => "ts",
            Self::Python => "py",
            Self::Rust => "rs",
        }
    }

    /// The source file of a project that the handler is in.
    fn main_file(self) -> &'static str {
        match self {
            Self::C | Self::CByZig => "src/handler.c",
            Self::Cpp => "src/handler.cpp",
            Self::Go => "main.go",
            Self::Zig => "src/main.zig",
            Self::Js => "src/index.js",
            Self::Ts => "src/index.ts",
            Self::Python => "app.py",
            Self::Rust => "src/lib.rs",
        }
    }

    /// Whether its compiler is there. If not, the test says so and is skipped, or fails where compilers are required.
    #[track_caller]
    pub fn is_there(self) -> bool {
        let missing = self.probes().iter().find(|(probe, versions)| {
            !command(probe).output().is_ok_and(|output| {
                let text = String::from_utf8_lossy(&output.stdout);
                let is_new =
                    versions.is_empty() || versions.iter().any(|version| text.contains(version));
                output.status.success() && is_new
            })
        });
        let Some((missing, _)) = missing else {
            return true;
        };
        let text = format!(
            "{self:?} is not tested: there is no {}, or an old one (scripts/toolchains-native installs it)",
            missing[0]
        );
        assert!(
            env::var_os(REQUIRED).is_none_or(|value| value != "required"),
            "{text}"
        );
        #[expect(clippy::print_stderr, reason = "a skipped test says why")]
        {
            eprintln!("SKIPPED: {text}");
        }
        false
    }
}

/// Makes a project of a template, as `wsrun new` does, and builds it: the component.
pub fn of_template(language: Language, template: &str) -> io::Result<PathBuf> {
    let folder = kept_folder("projects").join(format!("{language:?}-{template}").to_lowercase());
    let sdk = language.sdk();
    copy_template(
        &source("guest-sdk/templates")
            .join(language.templates())
            .join(template),
        &folder,
    )?;
    add_sdk(sdk, &folder)?;
    build(language, &folder, NAME)
}

/// Makes a project of the echo template with another source in place of its own, and builds it.
pub fn of_source(language: Language, name: &str, text: &str) -> io::Result<PathBuf> {
    let folder = kept_folder("projects").join(format!("{language:?}-{name}").to_lowercase());
    let sdk = language.sdk();
    let own = if language == Language::Cpp {
        "src/handler.c"
    } else {
        language.main_file()
    };
    copy_template_without(
        &source("guest-sdk/templates")
            .join(language.templates())
            .join("echo"),
        &folder,
        Some(Path::new(own)),
    )?;
    write_changed(&folder.join(language.main_file()), text.as_bytes())?;
    add_sdk(sdk, &folder)?;
    build(language, &folder, NAME)
}

/// The same, where it must build.
#[track_caller]
pub fn built_of_text(language: Language, name: &str, text: &str) -> PathBuf {
    match of_source(language, name, text) {
        Ok(component) => component,
        Err(error) => panic!("{error}"),
    }
}

/// Runs a command with the compilers of a language, in a folder of the project's: what it prints, if it succeeds.
pub fn run(words: &[&str], folder: &str, variables: &[(&str, &str)]) -> io::Result<String> {
    let mut command = command(words);
    command.envs(variables.iter().copied());
    let output = command.current_dir(source(folder)).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{words:?}:\n{text}{errors}")))
}

/// Builds a project of this name with the language's own command: the component.
pub fn build(language: Language, folder: &Path, name: &str) -> io::Result<PathBuf> {
    for words in language.build() {
        let output = command(words).current_dir(folder).output()?;
        if !output.status.success() {
            return Err(io::Error::other(format!(
                "{} did not build: {words:?}:\n{}{}",
                folder.display(),
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            )));
        }
    }
    let component = if language == Language::Rust {
        kept_folder("projects")
            .join("wasm32-wasip2/release")
            .join(name.replace('-', "_"))
    } else {
        folder.join("dist").join(name)
    };
    Ok(component.with_extension("wasm"))
}

/// A command that finds the compilers and the `wsrun` under test.
pub fn command(words: &[&str]) -> Command {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    let mut path = OsString::new();
    if let Some(toolchains) = env::var_os(TOOLCHAINS) {
        path.push(Path::new(&toolchains).join("bin"));
        path.push(":");
        // What builds components of Python is there once, not in each project.
        command.env("VENV", Path::new(&toolchains).join("venv"));
    }
    path.push(binary().parent().unwrap_or_else(|| Path::new("/")));
    path.push(":");
    path.push(env::var_os("PATH").unwrap_or_default());
    // Of the outer make or cargo nothing is meant for this one.
    command
        .env("PATH", path)
        .env_remove("MAKEFLAGS")
        .env_remove("CARGO")
        .env_remove("RUSTFLAGS");
    // What projects in Rust have in common is built once.
    command.env("CARGO_TARGET_DIR", kept_folder("projects"));
    // The SDK and what is written with it compile without a warning.
    let flags = "-O2 -Wall -Wextra -Werror";
    command.env("CFLAGS", flags).env("CXXFLAGS", flags);
    command
}

/// Copies what has changed, so that what is built already is not built again.
fn copy_template(from: &Path, to: &Path) -> io::Result<()> {
    copy_template_without(from, to, None)
}

/// The same without one of the files.
fn copy_template_without(from: &Path, to: &Path, left_out: Option<&Path>) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if left_out == Some(Path::new(&name)) {
            continue;
        }
        let target = to.join(if name == "_gitignore" {
            ".gitignore".as_ref()
        } else {
            name.as_os_str()
        });
        if entry.file_type()?.is_dir() {
            let inside = left_out.and_then(|path| path.strip_prefix(&name).ok());
            copy_template_without(&entry.path(), &target, inside)?;
        } else {
            let text = fs::read_to_string(entry.path())?.replace("{{name}}", NAME);
            write_changed(&target, text.as_bytes())?;
        }
    }
    Ok(())
}

fn add_sdk(sdk: &str, project: &Path) -> io::Result<()> {
    let from = source("guest-sdk").join(sdk);
    let to = project.join("wsrun-sdk");
    for line in fs::read_to_string(from.join("sdk-files.txt"))?.lines() {
        match line.strip_prefix('*') {
            Some(ending) => {
                for entry in fs::read_dir(&from)? {
                    let name = entry?.file_name();
                    if name.to_string_lossy().ends_with(ending) {
                        copy(&from.join(&name), &to.join(&name))?;
                    }
                }
            }
            None => copy(&from.join(line), &to.join(line))?,
        }
    }
    copy(&source("wit"), &to.join("wit"))
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if from.is_dir() {
        for entry in fs::read_dir(from)? {
            let name = entry?.file_name();
            copy(&from.join(&name), &to.join(&name))?;
        }
        return Ok(());
    }
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    write_changed(to, &fs::read(from)?)
}

fn write_changed(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    fs::write(path, bytes)
}
