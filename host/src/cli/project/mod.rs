//! The project in a folder: its language, its toolchain, and the component that it builds.

mod language;
mod tools;

use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::SystemTime;

use serde_json::Value;

pub(super) use self::language::{BuildError, Language, RUST_TARGET};

/// The most bytes that are kept of a compiler's output.
const OUTPUT_BYTES_MAX: usize = 256 * 1024;

/// The most files and folders that are searched for a source newer than the component.
const SOURCES_MAX: usize = 10_000;

/// The folder of a project whose files are served besides its sockets.
pub(super) const PAGE_FOLDER: &str = "page";

/// Folders that a build writes, or that nobody edits. They are not watched.
const GENERATED_FOLDERS: [&str; 11] = [
    "target",
    "dist",
    "build",
    "node_modules",
    "zig-out",
    "zig-cache",
    ".zig-cache",
    ".git",
    ".venv",
    "venv",
    "__pycache__",
];

#[derive(Clone, Debug)]
pub(super) struct Project {
    folder: PathBuf,
    language: Language,
}

/// The result of a build.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) component: PathBuf,
    /// True when the toolchain found nothing to do: the component is from an earlier build.
    pub(super) is_old: bool,
}

/// A command of a toolchain.
struct Step {
    program: String,
    arguments: Vec<String>,
}

impl Step {
    fn new(program: &str, arguments: &[&str]) -> Self {
        Self {
            program: program.to_owned(),
            arguments: arguments
                .iter()
                .map(|&argument| argument.to_owned())
                .collect(),
        }
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.program)?;
        self.arguments
            .iter()
            .try_for_each(|argument| write!(f, " {argument}"))
    }
}

/// Returns the component that the project in this folder was built to.
pub(super) fn built(folder: &Path) -> Result<PathBuf, BuildError> {
    let project = Project::find(folder)?;
    project
        .outputs()
        .into_iter()
        .max_by_key(|(at, _)| *at)
        .map(|(_, file)| file)
        .ok_or_else(|| BuildError::NotBuilt(folder.to_owned()))
}

impl Project {
    /// Recognises the project by the files in the folder.
    pub(super) fn find(folder: &Path) -> Result<Self, BuildError> {
        let known = [
            ("Cargo.toml", Language::Rust),
            ("package.json", Language::JavaScript),
            ("pyproject.toml", Language::Python),
            ("requirements.txt", Language::Python),
            ("go.mod", Language::Go),
            ("build.zig", Language::Zig),
            ("Makefile", Language::C),
        ];
        let found = known.iter().find(|(file, _)| folder.join(file).is_file());
        let (_, language) = found.ok_or_else(|| BuildError::NoProject(folder.to_owned()))?;
        Ok(Self {
            folder: folder.to_owned(),
            language: *language,
        })
    }

    pub(super) fn language(&self) -> &'static str {
        self.language.name()
    }

    /// Returns true when a change of this file may change the component.
    pub(super) fn is_source(&self, file: &Path) -> bool {
        let inside = file.strip_prefix(&self.folder).unwrap_or(file);
        let mut parts = inside.components();
        let written = |part: std::path::Component<'_>| {
            let name = part.as_os_str();
            GENERATED_FOLDERS.iter().any(|written| name == *written)
        };
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        // Editors write temporary files beside the file that they replace, and lock files belong to
        // the toolchain.
        let is_passing = name.starts_with(".#")
            || name.ends_with('~')
            || name.ends_with(".swp")
            || name.ends_with(".lock")
            || name == "package-lock.json"
            || name == "4913";
        !is_passing && !parts.any(written)
    }

    /// Runs the toolchain and returns the component. The output goes to standard error.
    pub(super) fn build(&self) -> Result<Built, BuildError> {
        tools::check(&self.folder, self.language)?;
        let before = self.outputs();
        let mut last = String::new();
        let mut built = None;
        for step in self.steps() {
            last = step.to_string();
            built = self.run(&step)?.or(built);
        }
        if let Some(component) = built {
            return Ok(Built {
                component,
                is_old: false,
            });
        }
        let newest = self.outputs().into_iter().max_by_key(|(at, _)| *at);
        let Some((at, component)) = newest else {
            return Err(BuildError::NoComponent {
                command: last,
                expected: if self.language == Language::Rust {
                    "the package needs a library with crate-type = [\"cdylib\"], or a program"
                        .into()
                } else {
                    let dist = self.folder.join("dist");
                    format!("there is no .wasm file in {}", dist.display())
                },
            });
        };
        let is_old = before.contains(&(at, component.clone()));
        match self.newer_source(at).filter(|_| is_old) {
            Some(source_file) => Err(BuildError::Stale {
                command: last,
                component,
                source_file,
            }),
            None => Ok(Built { component, is_old }),
        }
    }

    /// Returns a source that is newer than what was built at this time, for a toolchain that
    /// compares times. `make` does; others compare contents.
    fn newer_source(&self, built: SystemTime) -> Option<PathBuf> {
        let endings: &[&str] = match self.language {
            Language::Python => &["py"],
            Language::Go => &["go"],
            Language::C => &["c", "h", "cpp", "hpp"],
            Language::Rust | Language::JavaScript | Language::Zig => return None,
        };
        let is_newer = |file: &Path| {
            let modified = file.metadata().and_then(|file| file.modified());
            modified.is_ok_and(|modified| modified > built)
        };
        let mut folders = vec![self.folder.clone()];
        let mut files_left = SOURCES_MAX;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let (path, kind) = (entry.path(), entry.file_type());
                if files_left == 0 {
                    return None;
                }
                files_left -= 1;
                if !self.is_source(&path) {
                    continue;
                }
                let ending = path.extension().and_then(|ending| ending.to_str());
                if kind.is_ok_and(|kind| kind.is_dir()) {
                    folders.push(path);
                } else if ending.is_some_and(|ending| endings.contains(&ending)) && is_newer(&path)
                {
                    return Some(path);
                }
            }
        }
        None
    }

    fn steps(&self) -> Vec<Step> {
        match self.language {
            Language::Rust => vec![Step::new(
                "cargo",
                &[
                    "build",
                    "--release",
                    "--target",
                    RUST_TARGET,
                    "--message-format",
                    "json-render-diagnostics",
                ],
            )],
            Language::JavaScript => {
                let modules = std::fs::read_dir(self.folder.join("node_modules"));
                let is_installed = modules.is_ok_and(|mut modules| modules.next().is_some());
                let install = (!is_installed).then(|| Step::new("npm", &["install"]));
                let build = Step::new("npm", &["run", "--silent", "build"]);
                install.into_iter().chain([build]).collect()
            }
            Language::Zig => match tools::is_there("zig") {
                true => vec![Step::new("zig", &["build"])],
                false => vec![Step::new("python3", &["-m", "ziglang", "build"])],
            },
            Language::Python | Language::Go | Language::C => vec![Step::new("make", &[])],
        }
    }

    fn run(&self, step: &Step) -> Result<Option<PathBuf>, BuildError> {
        let not_started = |cause| BuildError::NotStarted {
            command: step.to_string(),
            cause,
        };
        let mut command = Command::new(&step.program);
        command
            .args(&step.arguments)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // Makefiles use it to make components of their compilers' output.
        if let Ok(program) = std::env::current_exe() {
            command.env("WSRUN", program);
        }
        let mut child = command.spawn().map_err(not_started)?;
        let reports_on_stdout = self.language == Language::Rust;
        let stdout = child
            .stdout
            .take()
            .map(|stdout| thread::spawn(move || read_output(stdout, !reports_on_stdout)));
        let stderr = child
            .stderr
            .take()
            .map(|stderr| thread::spawn(move || read_output(stderr, true)));
        let status = child.wait().map_err(not_started)?;
        let text = |reading: Option<thread::JoinHandle<Vec<u8>>>| {
            let bytes = reading.and_then(|reading| reading.join().ok());
            String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
        };
        let (stdout, stderr) = (text(stdout), text(stderr));
        if !status.success() {
            let output = match reports_on_stdout {
                true => stderr,
                false => format!("{stdout}{stderr}"),
            };
            return Err(BuildError::Failed {
                command: step.to_string(),
                status,
                output,
            });
        }
        Ok(match reports_on_stdout {
            true => artifact(&stdout),
            false => None,
        })
    }

    /// Returns the components in the output folder of this toolchain, with their times.
    fn outputs(&self) -> Vec<(SystemTime, PathBuf)> {
        let folder = if self.language == Language::Rust {
            self.rust_target().join(RUST_TARGET).join("release")
        } else {
            self.folder.join("dist")
        };
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let files = entries.map(|entry| entry.path());
        let components = files.filter(|file| file.extension().is_some_and(|kind| kind == "wasm"));
        components
            .filter_map(|file| Some((file.metadata().ok()?.modified().ok()?, file)))
            .collect()
    }

    fn rust_target(&self) -> PathBuf {
        let output = Command::new("cargo")
            .args([
                "metadata",
                "--no-deps",
                "--offline",
                "--format-version",
                "1",
            ])
            .current_dir(&self.folder)
            .stderr(Stdio::null())
            .output();
        let output: Option<Value> = output
            .ok()
            .and_then(|output| serde_json::from_slice(&output.stdout).ok());
        let folder = output
            .as_ref()
            .and_then(|output| output["target_directory"].as_str());
        folder.map_or_else(|| self.folder.join("target"), PathBuf::from)
    }
}

/// Returns the last component in cargo's messages.
fn artifact(messages: &str) -> Option<PathBuf> {
    let lines = messages.lines().rev();
    let mut messages = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    messages.find_map(|message| {
        let files = message["filenames"].as_array()?;
        let names = files.iter().filter_map(Value::as_str);
        names
            .map(PathBuf::from)
            .find(|file| file.extension().is_some_and(|kind| kind == "wasm"))
    })
}

/// Reads to the end. With `show`, copies it to standard error and keeps only the beginning.
fn read_output(mut source: impl Read, show: bool) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut buffer = [0; 8192];
    while let Ok(length @ 1..) = source.read(&mut buffer) {
        let bytes = &buffer[..length];
        if show {
            let _ = std::io::stderr().lock().write_all(bytes);
        }
        // cargo's standard output is parsed, so all of it is kept.
        let room = match show {
            true => OUTPUT_BYTES_MAX.saturating_sub(kept.len()),
            false => usize::MAX,
        };
        kept.extend_from_slice(&bytes[..length.min(room)]);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_build_writes_is_no_source() {
        let project = Project {
            folder: "/p".into(),
            language: Language::Rust,
        };
        for (file, is_source) in [
            ("/p/src/lib.rs", true),
            ("/p/Cargo.toml", true),
            ("/p/tests/echo.toml", true),
            ("/p/target/wasm32-wasip2/release/p.wasm", false),
            ("/p/node_modules/a/index.js", false),
            ("/p/src/lib.rs~", false),
            ("/p/src/.lib.rs.swp", false),
            ("/p/Cargo.lock", false),
        ] {
            assert_eq!(project.is_source(Path::new(file)), is_source, "{file}");
        }
    }

    #[test]
    fn component_is_the_last_artifact_that_is_one() {
        let messages = "{\"reason\":\"compiler-artifact\",\"filenames\":[\"/t/libserde.rlib\"]}\n\
                        {\"reason\":\"compiler-artifact\",\"filenames\":[\"/t/echo.wasm\"]}\n\
                        {\"reason\":\"build-finished\",\"success\":true}\n";
        assert_eq!(artifact(messages), Some("/t/echo.wasm".into()));
    }
}
