//! A project under `wsrun dev`.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::server::{self, Server};

/// A build, on a busy machine.
const BUILD: Duration = Duration::from_secs(200);

/// A new project in Rust, served by `wsrun dev`.
#[derive(Debug)]
pub struct Development {
    /// What serves it.
    pub server: Server,
    project: PathBuf,
    _folder: TempDir,
}

impl Development {
    /// Makes a project of a template, builds it and serves it. Each test has a name of its own for it: in the target folder that they share,
    /// Cargo takes projects of one name for the same.
    #[track_caller]
    pub fn start(name: &str, template: &str, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the project");
        let mut new = Command::new(server::binary());
        new.current_dir(folder.path()).args([
            "new",
            name,
            "--lang",
            "rust",
            "--template",
            template,
        ]);
        let made = server::run_command(&mut new, "", true);
        assert_eq!(made.code, Some(0), "{made:?}");
        let project = folder.path().join(name);
        // The first build is not what the server is waited for.
        let mut build = Command::new(server::binary());
        build
            .current_dir(&project)
            .arg("build")
            .env("CARGO_TARGET_DIR", server::kept_folder("projects"));
        let built = server::run_command_within(&mut build, "", true, BUILD);
        assert_eq!(built.code, Some(0), "{built:?}");
        let server = Server::without_handler()
            .arg("dev")
            .arg(&project)
            .args(["--trial-time", "100ms"])
            .args(arguments)
            .env("CARGO_TARGET_DIR", server::kept_folder("projects"))
            .start();
        Self {
            server,
            project,
            _folder: folder,
        }
    }

    /// The source of its handler.
    pub fn source(&self) -> PathBuf {
        self.project.join("src/lib.rs")
    }
}
