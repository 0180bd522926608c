//! `wsrun dev [FOLDER]`: builds, serves, watches the sources, and replaces the running handler.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use notify::Watcher as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::failure::Failure;
use super::output::size;
use super::output::{say, say_error};
use super::project::{PAGE_FOLDER, Project};
use super::runtime::RuntimeArgs;
use super::start::start;
use super::values::{listen, scope};
use crate::config::{Config, ConnectionSettings, HandlerConfig, HandlerSource, Listen, Scope};
use crate::dev::{Dev, PATH};
use crate::server::{Address, Swapper};
use wsrun_os::file::ReadError;

/// The wait after a change, for the changes that follow it: editors write several files, each in
/// several steps.
const SETTLE: Duration = Duration::from_millis(150);

/// The most bytes of a source that are hashed. A larger file counts as changed by its size and time
/// alone.
const HASHED_BYTES_MAX: u64 = 4 << 20;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "The language is told by the files of the folder, as for `wsrun build`. The page that pokes at the handler is /.wsrun/ on the \
                  address that is listened on. Every page that is served shows build errors over itself."
)]
pub(super) struct Args {
    /// The folder of the project
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Where to listen: IP:PORT (port 0 picks one) or unix:PATH. Repeatable
    #[arg(long, value_name = "ADDR", value_parser = listen, default_value = "127.0.0.1:9000")]
    listen: Vec<Listen>,
    /// Answers plain HTTP requests with files of this folder; without it with those of `page` in the project, if there is such a folder
    #[arg(long = "static", value_name = "DIR")]
    static_dir: Option<PathBuf>,
    /// Grants the handler this folder to answer plain HTTP requests with files of
    #[arg(long = "files", value_name = "DIR")]
    files_dir: Option<PathBuf>,
    /// Which connections share an instance: `shared`, `worker` or `connection`
    #[arg(long, value_name = "SCOPE", value_parser = scope, default_value = "shared")]
    scope: (Option<String>, Scope),
    #[command(flatten)]
    runtime: RuntimeArgs,
}

pub(super) fn run(args: Args) -> Result<ExitCode, Failure> {
    args.runtime.start_log();
    let folder = args
        .folder
        .canonicalize()
        .map_err(|error| Failure::usage(anyhow::anyhow!("{}: {error}", args.folder.display())))?;
    let project = Project::find(&folder).map_err(Failure::usage)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(develop(args, folder, project));
    // A build may still be running, and nothing waits for it.
    runtime.shutdown_background();
    result
}

async fn develop(args: Args, folder: PathBuf, project: Project) -> Result<ExitCode, Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let dev = Dev::new(name);
    let has_page =
        args.static_dir.is_some() || folder.join(PAGE_FOLDER).join("index.html").is_file();
    // Checked before the build: a configuration that cannot be served makes the build useless.
    let (mut config, mut handler) = config(args, &folder, dev.clone())?;
    let mut sources = Sources::watch(&folder, &project)?;
    say_error(&format!("building a project in {}", project.language()));
    let first = async {
        loop {
            sources.scan();
            match build(&project).await {
                Ok(file) => return file,
                Err(failed) => say_error(&format!(
                    "{}\nwaiting for a change of the sources",
                    failed.line
                )),
            }
            sources.changed().await;
        }
    };
    let file = tokio::select! {
        file = first => file,
        _ = terminate.recv() => return Ok(ExitCode::SUCCESS),
        _ = interrupt.recv() => return Ok(ExitCode::SUCCESS),
    };
    dev.succeed();
    handler.source = HandlerSource::File(file);
    config.handlers.push(handler);
    let server = match start(config, &mut terminate, &mut interrupt).await? {
        Ok(server) => server,
        Err(ended) => return Ok(ended),
    };
    for address in server.addresses() {
        say(&format!("listening on {}", server.url(address)));
    }
    if let Some(Address::Tcp(address)) = server.addresses().first() {
        if has_page {
            say(&format!("its page is http://{address}/"));
        }
        say(&format!("poke at it on http://{address}{PATH}"));
    }
    let swapper = server.swapper();
    let watching = async {
        loop {
            sources.changed().await;
            dev.begin_build();
            match replace(&project, &swapper).await {
                Ok(text) => {
                    dev.succeed();
                    say_error(&text);
                }
                Err(NotReplaced { line, text }) => {
                    say_error(&format!("{line}\nthe version before serves on"));
                    dev.fail(text);
                }
            }
        }
    };
    // Every branch is cancel-safe: nothing continues after it.
    tokio::select! {
        () = watching => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    let clean = tokio::task::spawn_blocking(|| server.shutdown()).await?;
    Ok(match clean {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// The reason why there is no new version.
struct NotReplaced {
    /// The reason in one line, since the toolchain's output is on the terminal already.
    line: String,
    /// The reason in full.
    text: String,
}

impl NotReplaced {
    fn new(error: &impl ToString) -> Self {
        let text = error.to_string();
        Self {
            line: text.clone(),
            text,
        }
    }
}

/// Builds the project and replaces the running handler with the result.
async fn replace(project: &Project, swapper: &Swapper) -> Result<String, NotReplaced> {
    let file = build(project).await?;
    let swapper = swapper.clone();
    let swapped = tokio::task::spawn_blocking(move || {
        let (name, _) = swapper.files().into_iter().next().unwrap_or_default();
        swapper.swap(&name, Some(&file))
    });
    match swapped.await.map_err(|error| NotReplaced::new(&error))? {
        Ok(swapped) => Ok(format!(
            "the new version serves, after {:.1?}",
            swapped.took
        )),
        Err(error) => Err(NotReplaced::new(&error)),
    }
}

async fn build(project: &Project) -> Result<PathBuf, NotReplaced> {
    let project = project.clone();
    let built = tokio::task::spawn_blocking(move || project.build());
    let file = match built.await {
        Ok(Ok(built)) => built.component,
        Ok(Err(error)) => {
            return Err(NotReplaced {
                line: error.to_string(),
                text: error.output(),
            });
        }
        Err(error) => return Err(NotReplaced::new(&error)),
    };
    let bytes = std::fs::metadata(&file).map_or(0, |file| file.len());
    say_error(&format!("{} ({})", file.display(), size(bytes)));
    Ok(file)
}

/// Returns the configuration without the handler, and the handler, whose source is set after the
/// build.
fn config(args: Args, folder: &Path, dev: Dev) -> Result<(Config, HandlerConfig), Failure> {
    let page = Some(folder.join(PAGE_FOLDER)).filter(|page| page.is_dir());
    let mut handler = HandlerConfig::new(None, HandlerSource::File(PathBuf::new()));
    handler.config = args.runtime.values()?;
    handler.scope = args.scope.1;
    let (config, limits) = args.runtime.into_config()?;
    handler.limits = Arc::new(limits);
    let config = Config {
        listen: args.listen,
        handlers: Vec::new(),
        connection: ConnectionSettings {
            static_dir: args.static_dir.or(page),
            files_dir: args.files_dir,
            dev: Some(dev),
            ..ConnectionSettings::default()
        },
        ..config
    };
    Ok((config, handler))
}

/// The files of a project, and the watcher that reports their changes.
struct Sources {
    folder: PathBuf,
    project: Project,
    watcher: notify::RecommendedWatcher,
    events: mpsc::Receiver<()>,
    /// The hash of each source at the last scan.
    seen: BTreeMap<PathBuf, u64>,
}

impl Sources {
    fn watch(folder: &Path, project: &Project) -> anyhow::Result<Self> {
        let (changed, events) = mpsc::channel(1);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let passive = event
                .as_ref()
                .is_ok_and(|event| matches!(event.kind, notify::EventKind::Access(_)));
            // When the channel is full, a change has been reported already. A scan finds what has
            // changed.
            if !passive {
                let _ = changed.try_send(());
            }
        })?;
        Ok(Self {
            folder: folder.to_owned(),
            project: project.clone(),
            watcher,
            events,
            seen: BTreeMap::new(),
        })
    }

    /// Waits until a source has other content.
    async fn changed(&mut self) {
        while self.events.recv().await.is_some() {
            tokio::time::sleep(SETTLE).await;
            while self.events.try_recv().is_ok() {}
            if self.scan() {
                return;
            }
        }
        // The watcher has ended: the handler is served as it is.
        std::future::pending().await
    }

    /// Scans every source, and watches new folders. Returns true when any source has changed.
    fn scan(&mut self) -> bool {
        let mut seen = BTreeMap::new();
        let mut folders = vec![self.folder.clone()];
        while let Some(folder) = folders.pop() {
            // Also folders that are watched already: one may have been removed and made again.
            let watched = self
                .watcher
                .watch(&folder, notify::RecursiveMode::NonRecursive);
            if let Err(error) = watched {
                tracing::warn!("cannot watch {}: {error}", folder.display());
            }
            for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                // The files of the page are served as they are; no build uses them.
                if !self.project.is_source(&path) || path == self.folder.join(PAGE_FOLDER) {
                    continue;
                }
                match path.is_dir() {
                    true => folders.push(path),
                    false => {
                        let hash = content(&path);
                        seen.insert(path, hash);
                    }
                }
            }
        }
        let changed = seen != self.seen;
        self.seen = seen;
        changed
    }
}

/// Returns a hash of the content, so that a build which rewrites a source unchanged causes no
/// change.
fn content(file: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    match wsrun_os::file::read(file, HASHED_BYTES_MAX) {
        Ok(bytes) => bytes.hash(&mut hasher),
        Err(ReadError::TooLarge { .. }) => {
            if let Ok(metadata) = file.metadata() {
                metadata.len().hash(&mut hasher);
                metadata.modified().ok().hash(&mut hasher);
            }
        }
        Err(ReadError::Io(_)) => {}
    }
    hasher.finish()
}
