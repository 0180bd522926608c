//! Builds the handlers that the tests speak to: the examples and the guests, for wasm32-wasip2.
//!
//! They are workspaces of their own, built by a nested cargo into a folder beside the outer build, so that the sources stay clean and a
//! second build is quick.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "wasm32-wasip2";

fn main() {
    let top = Path::new(&variable("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate lies in the workspace")
        .to_path_buf();
    for sources in ["wit", "guest-sdk", "examples", "tests/guests"] {
        println!("cargo::rerun-if-changed={}", top.join(sources).display());
    }
    println!("cargo::rerun-if-env-changed=WSRUN_GUESTS_TARGET_DIR");

    let target_dir = guests_target_dir();
    add_target();
    for workspace in ["examples", "tests/guests"] {
        build(&top.join(workspace), &target_dir);
    }
    let handlers = target_dir.join(TARGET).join("release");
    println!(
        "cargo::rustc-env=WSRUN_TEST_HANDLERS={}",
        handlers.display()
    );
}

/// The cargo target folder of the outer build is the one above `<profile>/build/wsrun-tests-<hash>/out`.
fn guests_target_dir() -> PathBuf {
    if let Some(dir) = env::var_os("WSRUN_GUESTS_TARGET_DIR") {
        return dir.into();
    }
    let out = PathBuf::from(variable("OUT_DIR"));
    let profile = out
        .ancestors()
        .find(|dir| dir.file_name().is_some_and(|name| name == "build"))
        .and_then(Path::parent)
        .expect("OUT_DIR lies in the build folder of a profile");
    profile
        .parent()
        .expect("a profile folder lies in the target folder")
        .join("guests")
}

/// Adds the wasm target where rustup manages the toolchain and has not got it yet. The build tells what is missing elsewhere.
fn add_target() {
    let listed = Command::new("rustup")
        .args(["target", "list", "--installed"])
        .output();
    let Ok(listed) = listed else { return };
    let installed = String::from_utf8_lossy(&listed.stdout)
        .lines()
        .any(|line| line.trim() == TARGET);
    if listed.status.success() && !installed {
        let _ = Command::new("rustup")
            .args(["target", "add", TARGET])
            .status();
    }
}

fn build(workspace: &Path, target_dir: &Path) {
    let mut cargo = Command::new(variable("CARGO"));
    cargo
        .current_dir(workspace)
        .args(["build", "--workspace", "--release", "--locked"])
        .args(["--target", TARGET])
        .arg("--target-dir")
        .arg(target_dir);
    // What the outer build was told about compilers and flags does not concern the handlers.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        let foreign = name.starts_with("CARGO_")
            && !["CARGO_HOME", "CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTR"]
                .iter()
                .any(|kept| name.starts_with(kept));
        let compiler = name.starts_with("RUSTC") || name.starts_with("RUSTFLAGS");
        if foreign || compiler || name == "MAKEFLAGS" || name == "TARGET" {
            cargo.env_remove(&*name);
        }
    }
    let status = cargo.status().unwrap_or_else(|error| {
        panic!(
            "cargo could not be started in {}: {error}",
            workspace.display()
        )
    });
    assert!(
        status.success(),
        "the handlers in {} could not be built for {TARGET}. If the compiler says that it cannot find `core` or `std`, the target \
         is missing: run `rustup target add {TARGET}`, or install the standard library of that target with the packages of your \
         system (Debian: libstd-rust-dev-wasm32).",
        workspace.display()
    );
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"))
}
