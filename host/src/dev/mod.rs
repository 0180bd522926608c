//! The page of `wsrun dev`, which tries the served handler out and shows the state of its build.
//!
//! * `/.wsrun/` is the page. `/.wsrun/overlay.js` shows a build error over any page; every served
//!   page loads it.
//! * `/.wsrun/status` is the status that both request, as JSON.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;

/// The path of the page.
pub(crate) const PATH: &str = "/.wsrun/";

/// The state of the build, which is set from the outside while the server runs.
#[derive(Clone, Debug, Default)]
pub struct Dev(Arc<Mutex<Status>>);

#[derive(Debug, Default)]
struct Status {
    /// The name of the project's folder.
    project: String,
    is_building: bool,
    /// The number of versions that have served.
    versions: u64,
    error: Option<String>,
}

/// A file of the page.
pub(crate) struct Page {
    pub(crate) kind: &'static str,
    pub(crate) body: String,
}

impl Dev {
    /// Returns the state of the project with this name, without a build yet.
    pub fn new(project: impl Into<String>) -> Self {
        let dev = Self::default();
        dev.change(|status| status.project = project.into());
        dev
    }

    /// Records that a build begins.
    pub fn begin_build(&self) {
        self.change(|status| status.is_building = true);
    }

    /// Records that the build is over, and that its result serves.
    pub fn succeed(&self) {
        self.change(|status| {
            status.is_building = false;
            status.versions += 1;
            status.error = None;
        });
    }

    /// Records that there is no new version, for this reason.
    pub fn fail(&self, error: impl Into<String>) {
        self.change(|status| {
            status.is_building = false;
            status.error = Some(error.into());
        });
    }

    pub(crate) fn answer(&self, path: &str) -> Option<Page> {
        let (kind, body) = match path.strip_prefix(PATH)? {
            "" => (
                "text/html; charset=utf-8",
                include_str!("page.html").to_owned(),
            ),
            "overlay.js" => (
                "text/javascript; charset=utf-8",
                include_str!("overlay.js").to_owned(),
            ),
            "status" => ("application/json", self.status()),
            _ => return None,
        };
        Some(Page { kind, body })
    }

    fn status(&self) -> String {
        let status = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        json!({
            "project": status.project,
            "building": status.is_building,
            "versions": status.versions,
            "error": status.error,
        })
        .to_string()
    }

    fn change(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
