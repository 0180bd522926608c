//! `wsrun build [FOLDER]`: runs a project's own toolchain.

use std::path::PathBuf;
use std::process::ExitCode;

use super::project::{Built, Project};
use super::{Failure, say, say_error};

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

/// Formats a size: `12.3 KiB`.
pub(super) fn size(bytes: u64) -> String {
    let mut units = ["KiB", "MiB", "GiB"].into_iter();
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    // The conversion is exact up to 2^53 bytes.
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let mut value = bytes as f64 / 1024.0;
    let mut unit = units.next().unwrap_or_default();
    for next in units {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_told_in_the_largest_unit() {
        assert_eq!(size(1_023), "1023 bytes");
        assert_eq!(size(1_536), "1.5 KiB");
        assert_eq!(size(3 << 20), "3.0 MiB");
    }
}
