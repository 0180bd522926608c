//! The page of `wsrun dev`: pokes at the handler that is served, and tells how its build goes.
//!
//! * `/.wsrun/` is the page. `/.wsrun/overlay.js` shows a build error over any page; every page that is served loads it.
//! * `/.wsrun/status` is what both ask for, as JSON.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;

/// Where the page is.
pub(crate) const PATH: &str = "/.wsrun/";

/// How the build goes, told from the outside while the server runs.
#[derive(Clone, Debug, Default)]
pub struct Dev(Arc<Mutex<Status>>);

#[derive(Debug, Default)]
struct Status {
    /// Of the folder.
    project: String,
    is_building: bool,
    /// Versions that have served.
    versions: u64,
    error: Option<String>,
}

/// A file of the page.
pub(crate) struct Page {
    pub(crate) kind: &'static str,
    pub(crate) body: String,
}

impl Dev {
    /// Of the project with this name.
    pub fn new(project: impl Into<String>) -> Self {
        let dev = Self::default();
        dev.change(|status| status.project = project.into());
        dev
    }

    /// A build begins.
    pub fn begin_build(&self) {
        self.change(|status| status.is_building = true);
    }

    /// The build is over, and its result serves.
    pub fn succeed(&self) {
        self.change(|status| {
            status.is_building = false;
            status.versions += 1;
            status.error = None;
        });
    }

    /// There is no new version, for this reason.
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
