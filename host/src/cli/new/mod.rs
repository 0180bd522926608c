//! `wsrun new NAME`: makes a project from a template.

mod embedded;

use std::fs;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use clap::builder::PossibleValuesParser;

use super::failure::Failure;
use super::output::{say, say_error};
use super::project::PAGE_FOLDER;

/// The folder of a project that contains the SDK.
const SDK_FOLDER: &str = "wsrun-sdk";

/// The template when none is named.
const FIRST_TEMPLATE: &str = "echo";

/// The most bytes of a project's name.
const NAME_BYTES_MAX: usize = 64;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder to make; its last part is the name of the project
    name: Option<PathBuf>,
    /// The language
    #[arg(long, value_name = "LANGUAGE", value_parser = PossibleValuesParser::new(embedded::languages()))]
    lang: Option<String>,
    /// What it begins as. Without it a terminal is asked, else it is `echo`
    #[arg(long, value_parser = PossibleValuesParser::new(embedded::all_templates()))]
    template: Option<String>,
}

pub(super) fn run(args: Args) -> Result<ExitCode, Failure> {
    let asks = io::stdin().is_terminal();
    let (folder, name) = match args.name {
        Some(folder) => {
            let name = free_name(&folder).map_err(Failure::usage)?;
            (folder, name)
        }
        None if asks => ask("name of the project", None, |answer| {
            let folder = PathBuf::from(answer);
            let name = free_name(&folder)?;
            Ok((folder, name))
        })?,
        None => return Err(missing("NAME", "as in `wsrun new hello --lang rust`")),
    };
    let languages = embedded::languages();
    let language = match args.lang {
        Some(language) => language,
        None if asks => choose("language", &languages, None)?,
        None => {
            let text = format!("there are: {}", languages.join(", "));
            return Err(missing("--lang", &text));
        }
    };
    let templates = embedded::templates(&language);
    let template = match args.template {
        Some(template) if templates.contains(&template.as_str()) => template,
        Some(template) => {
            return Err(Failure::usage(anyhow!(
                "there is no template {template} in {language}; there are: {}",
                templates.join(", ")
            )));
        }
        None if asks => choose("template", &templates, Some(FIRST_TEMPLATE))?,
        None => FIRST_TEMPLATE.to_owned(),
    };
    let written = write(&folder, &name, &language, &template)?;
    say(&format!(
        "{}: the template {template} in {language}, {written} files\n\n  cd {}\n  wsrun dev     # builds, serves, prints where to look at \
         it, and builds again when a source changes\n  wsrun test    # runs the scenarios in tests/ on what was built\n\nREADME.md tells how to build it without \
         wsrun.",
        folder.display(),
        folder.display()
    ));
    Ok(ExitCode::SUCCESS)
}

fn missing(what: &str, text: &str) -> Failure {
    Failure::usage(anyhow!(
        "{what} is missing, and there is no terminal to ask: {text}"
    ))
}

/// Returns the last part of the path, if a package may have this name in every language.
fn project_name(folder: &Path) -> anyhow::Result<String> {
    let name = folder.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| anyhow!("{}: this is no name of a folder", folder.display()))?;
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
    if !begins || name.ends_with('-') || !name.chars().all(allowed) {
        bail!("{name:?}: a project is called by small letters, digits and hyphens, a letter first");
    }
    if name.len() > NAME_BYTES_MAX {
        bail!("{name:?}: the name of a project has at most {NAME_BYTES_MAX} characters");
    }
    Ok(name.to_owned())
}

/// Returns the name of a project that can be written to this folder.
fn free_name(folder: &Path) -> anyhow::Result<String> {
    let name = project_name(folder)?;
    match occupied(folder) {
        None => Ok(name),
        Some(problem) => Err(problem),
    }
}

/// Returns the reason why nothing can be written to this folder, if there is one.
fn occupied(folder: &Path) -> Option<anyhow::Error> {
    match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().map(|_| {
            anyhow!(
                "{} exists and is not empty: nothing is written over",
                folder.display()
            )
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(anyhow!("{}: {error}", folder.display())),
    }
}

/// Asks on the terminal until an answer is accepted. An empty answer means the `default`, where
/// there is one.
fn ask<T>(
    question: &str,
    default: Option<&str>,
    accept: impl Fn(&str) -> anyhow::Result<T>,
) -> Result<T, Failure> {
    loop {
        // Not on standard output, which may be redirected.
        write_error(&match default {
            Some(default) => format!("{question} [{default}]: "),
            None => format!("{question}: "),
        })?;
        let mut line = Vec::new();
        if io::stdin().lock().read_until(b'\n', &mut line)? == 0 {
            write_error("\n")?;
            return Err(Failure::usage(anyhow!("{question}: no answer")));
        }
        let line = String::from_utf8_lossy(&line);
        let answer = match (line.trim(), default) {
            ("", Some(default)) => default,
            ("", None) => continue,
            (answer, _) => answer,
        };
        match accept(answer) {
            Ok(accepted) => return Ok(accepted),
            Err(problem) => say_error(&problem.to_string()),
        }
    }
}

fn choose(what: &str, of: &[&str], default: Option<&str>) -> Result<String, Failure> {
    let question = format!("{what} ({})", of.join(", "));
    ask(&question, default, |answer| {
        let answer = answer.to_lowercase();
        if of.contains(&answer.as_str()) {
            return Ok(answer);
        }
        bail!("there is no {what} {answer:?}")
    })
}

fn write_error(text: &str) -> io::Result<()> {
    let mut out = io::stderr().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Writes the project. Returns the number of its files.
fn write(folder: &Path, name: &str, language: &str, template: &str) -> anyhow::Result<usize> {
    let sdk = match language {
        // The types of TypeScript are part of the same SDK.
        "ts" => "js",
        language => language,
    };
    let sources = [
        (format!("templates/{language}/{template}/"), PathBuf::new()),
        (format!("pages/{template}/"), PAGE_FOLDER.into()),
        (format!("sdk/{sdk}/"), SDK_FOLDER.into()),
        ("wit/".to_owned(), Path::new(SDK_FOLDER).join("wit")),
    ];
    let mut written = 0;
    for (prefix, below) in &sources {
        let is_template = !below.starts_with(SDK_FOLDER);
        for (path, bytes) in embedded::below(prefix) {
            let path = match is_template {
                true => renamed(path, name),
                false => path.into(),
            };
            let path = folder.join(below).join(path);
            let text = std::str::from_utf8(bytes).ok().filter(|_| is_template);
            let text = text.map(|text| text.replace("{{name}}", name));
            let bytes = text.as_ref().map_or(bytes, String::as_bytes);
            write_file(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
            written += 1;
        }
    }
    Ok(written)
}

/// Returns the path of a template's file in the project.
fn renamed(path: &str, name: &str) -> PathBuf {
    let parts = path.split('/').map(|part| match part {
        "_gitignore" => ".gitignore".to_owned(),
        part => part.replace("{{name}}", name),
    });
    parts.collect()
}

fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)?;
    file.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_every_language() {
        for (path, name) in [
            ("hello", Some("hello")),
            ("a/b/my-chat2", Some("my-chat2")),
            ("Hello", None),
            ("2x", None),
            ("a_b", None),
            ("a-", None),
            ("..", None),
            ("", None),
        ] {
            assert_eq!(
                project_name(Path::new(path)).ok().as_deref(),
                name,
                "{path:?}"
            );
        }
    }

    #[test]
    fn every_template_is_a_whole_project() {
        for language in embedded::languages() {
            assert!(
                embedded::templates(language).contains(&"echo"),
                "{language}"
            );
            for template in embedded::templates(language) {
                let folder = format!("templates/{language}/{template}/");
                let files = embedded::below(&folder);
                let files: Vec<&str> = files.map(|(path, _)| path).collect();
                let has = |wanted: &str| files.contains(&wanted);
                assert!(
                    has("README.md") && has("_gitignore"),
                    "{language}/{template}: {files:?}"
                );
                let is_scenario =
                    |path: &str| path.starts_with("tests/") && path.ends_with(".toml");
                assert!(
                    files.iter().copied().any(is_scenario),
                    "{language}/{template}"
                );
            }
        }
    }

    /// A project is complete in itself, so some files exist in several places. All copies must be
    /// equal.
    #[test]
    fn copies_are_equal() {
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let read = |path: &str| fs::read_to_string(top.join(path)).expect(path);
        for source in ["lib.rs", "protocol.rs"] {
            assert_eq!(
                read(&format!("guest-sdk/templates/rust/chat/src/{source}")),
                read(&format!("examples/chat/src/{source}")),
                "{source}"
            );
        }
        for language in ["c", "go"] {
            for template in ["chat", "client", "http"] {
                assert_eq!(
                    read(&format!(
                        "guest-sdk/templates/{language}/{template}/Makefile"
                    )),
                    read(&format!("guest-sdk/templates/{language}/echo/Makefile")),
                    "{language}/{template}"
                );
            }
        }
    }
}
