//! A server that is asked over its admin socket.

use std::ffi::OsStr;
use std::ops::Deref;

use serde_json::Value;

use crate::server::{Builder, Ended, Server, run};
use crate::wait;

/// A server with an admin socket, in a folder that is kept as long as this.
#[derive(Debug)]
pub struct Administered {
    /// The server.
    pub server: Server,
    folder: tempfile::TempDir,
}

impl Administered {
    /// Starts it, and waits until it answers.
    #[track_caller]
    pub fn start(server: Builder) -> Self {
        Self::started_by(server, Builder::start)
    }

    /// The same with a start of its own.
    #[track_caller]
    pub fn started_by(server: Builder, start: impl FnOnce(Builder) -> Server) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let server = server.arg("--admin").arg(folder.path().join("admin"));
        let administered = Self {
            server: start(server),
            folder,
        };
        wait::until("the admin socket is there", || {
            administered.ctl(["status"]).code == Some(0)
        });
        administered
    }

    /// The path of the admin socket.
    pub fn socket(&self) -> String {
        self.folder.path().join("admin").display().to_string()
    }

    /// Runs `wsrun ctl` with these arguments.
    #[track_caller]
    pub fn ctl<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Ended {
        let arguments = arguments.into_iter();
        let arguments = arguments.map(|argument| argument.as_ref().to_owned());
        let socket = self.socket();
        let all = ["ctl", "--admin", &socket].map(Into::into);
        run(all.into_iter().chain(arguments))
    }

    /// What `wsrun ctl status --json` says.
    #[track_caller]
    pub fn status(&self) -> Value {
        let ended = self.ctl(["status", "--json"]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        serde_json::from_str(&ended.stdout).expect("it is JSON")
    }

    /// The value of a metric, as in `wsrun_connections{handler="echo"}`.
    #[track_caller]
    pub fn metric(&self, name: &str) -> u64 {
        let ended = self.ctl(["metrics"]);
        value(&ended.stdout, name).unwrap_or_else(|| panic!("{name} is in {}", ended.stdout))
    }

    /// How often a limit of a handler was reached.
    #[track_caller]
    pub fn hits(&self, handler: &str, limit: &str) -> u64 {
        self.metric(&format!(
            "wsrun_limit_hits_total{{handler=\"{handler}\",limit=\"{limit}\"}}"
        ))
    }
}

impl Deref for Administered {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

/// The value of one metric in the text of all.
pub fn value(metrics: &str, name: &str) -> Option<u64> {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().parse().ok()
}
