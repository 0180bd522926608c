//! `wsrun build [FOLDER]`: runs a project's own toolchain.

use std::path::PathBuf;
use std::process::ExitCode;

use super::failure::Failure;
use super::output::{say, say_error, size};
use super::project::{Built, Project};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "The language is told by the files: Cargo.toml, package.json, pyproject.toml or requirements.txt, go.mod, build.zig, \
                  Makefile, in this order.\n\nEXIT CODES:\n  0  built: the path and the size of the component are printed\n  \
                  1  the toolchain failed, with its words on standard error\n  2  no project, or a tool is missing"
)]
pub(super) struct Args {
    /// The folder of the project
    #[arg(default_value = ".")]
    folder: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    use super::project::BuildError as E;
    let project = Project::find(&args.folder).map_err(Failure::usage)?;
    say_error(&format!("building a project in {}", project.language()));
    let Built { component, is_old } = project.build().map_err(|error| match error {
        E::NoProject(_) | E::Missing { .. } | E::NotStarted { .. } => Failure::usage(error),
        E::Failed { .. } | E::NoComponent { .. } | E::Stale { .. } | E::NotBuilt(_) => {
            Failure::from(error)
        }
    })?;
    let bytes = std::fs::metadata(&component)?.len();
    say(&format!("{} ({})", component.display(), size(bytes)));
    if is_old {
        say_error("nothing has changed since it was built");
    }
    Ok(ExitCode::SUCCESS)
}
