//! Files of a folder: for `--static`, and for responses that name one (`--files`).
//!
//! What HTTP asks for (ranges, conditions, content types, precompressed siblings) is tower-http's; the files come from [`Beneath`], which
//! opens them relative to a folder that was opened once, when the server was made. Neither a path nor a symbolic link leads out of it.

use std::future::Future;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Once};
use std::task::{Context, Poll};
use std::time::SystemTime;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt as _};
use http_body_util::BodyExt;
use hyper::header::{
    ACCEPT_ENCODING, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, IF_RANGE, LAST_MODIFIED,
    LOCATION, RANGE, VARY,
};
use hyper::{Method, Request, Response, StatusCode, Uri};
use rustix::fs::OFlags;
use tokio::io::{AsyncRead, AsyncSeek, ReadBuf};
use tower_http::services::ServeDir;
use tower_http::services::fs::{Backend, DefaultServeDirFallback, File, Metadata};

use super::answer::{Body, empty, text};
use super::settings::ConnectionSettings;
use wsrun_contract::Setting;
use wsrun_metrics::seldom::Seldom;
use wsrun_net::descriptors;

/// A path of a file that a handler names is no longer than what the system opens.
const PATH_BYTES_MAX: usize = 4_096;

/// The folders that plain requests are answered from.
pub(crate) struct Folders {
    /// The folder for everybody.
    pub(super) site: Option<Folder>,
    /// The folder that handlers may name files of.
    granted: Option<Folder>,
    not_granted: Once,
}

/// A folder that cannot be opened or looked into.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting} {}: {problem}", .folder.display())]
pub struct FolderError {
    /// The setting that names it.
    pub setting: Setting,
    /// The folder.
    pub folder: PathBuf,
    /// The reason, and what to do.
    pub problem: String,
}

impl Folders {
    /// Opens the folders of the configuration: what happens to the paths that lead to them, or to the right to walk these paths, matters no
    /// longer.
    ///
    /// # Errors
    ///
    /// With the flag and the folder, when one cannot be opened.
    pub(crate) fn open(settings: &ConnectionSettings) -> Result<Self, FolderError> {
        let open = |setting: Setting, folder: &Option<PathBuf>| {
            let Some(folder) = folder else {
                return Ok(None);
            };
            Folder::open(folder).map(Some).map_err(|error| FolderError {
                setting,
                folder: folder.clone(),
                problem: error.to_string(),
            })
        };
        Ok(Self {
            site: open(Setting("connection.static_dir"), &settings.static_dir)?,
            granted: open(Setting("connection.files_dir"), &settings.files_dir)?,
            not_granted: Once::new(),
        })
    }

    /// Checks that the user who this process is, or has become, may look into the folders.
    ///
    /// # Errors
    ///
    /// With the flag, the folder and what to do, when it may not: each file would be answered with 404.
    pub(crate) fn check(
        &self,
        settings: &ConnectionSettings,
        is_somebody_else: bool,
    ) -> Result<(), FolderError> {
        let who = match is_somebody_else {
            true => format!(
                "the user or group that {} and {} name",
                Setting("privileges.user"),
                Setting("privileges.group")
            ),
            false => "the user who runs this".to_owned(),
        };
        let check = |setting: Setting, folder: &Option<Folder>, path: &Option<PathBuf>| {
            let (Some(folder), Some(path)) = (folder, path) else {
                return Ok(());
            };
            // Looking up a name needs the right to search, which is all that serving a known path needs of a folder.
            folder
                .dir
                .open_dir(".")
                .map(drop)
                .map_err(|error| FolderError {
                    setting,
                    folder: path.clone(),
                    problem: format!(
                        "{who} may not look into it: {error}; let it read and search the folder"
                    ),
                })
        };
        check(
            Setting("connection.static_dir"),
            &self.site,
            &settings.static_dir,
        )?;
        check(
            Setting("connection.files_dir"),
            &self.granted,
            &settings.files_dir,
        )
    }

    /// The folder that a handler may name files of.
    pub(super) fn granted(&self, handler: &str) -> Option<&Folder> {
        if self.granted.is_none() {
            self.not_granted.call_once(|| {
                tracing::warn!(
                    handler,
                    "the handler answers with a file, but no folder is granted: name one with {} DIR", Setting("connection.files_dir")
                );
            });
        }
        self.granted.as_ref()
    }
}

/// A folder that files are served from.
pub(super) struct Folder {
    dir: Arc<Dir>,
    site: Service,
    /// The same for paths that are no URLs: no index, no redirects.
    named: Service,
}

type Service = ServeDir<DefaultServeDirFallback, Beneath>;

impl Folder {
    fn open(path: &Path) -> io::Result<Self> {
        let dir = Arc::new(Dir::open_ambient_dir(path, ambient_authority())?);
        let beneath = Beneath {
            dir: Arc::clone(&dir),
        };
        let service = || {
            ServeDir::with_backend("", beneath.clone())
                .precompressed_br()
                .precompressed_gzip()
                .precompressed_zstd()
                // RFC 9110, 14.2: a server may ignore the Range header, and should where ranges overlap or are many.
                .ignore_multi_range_requests(true)
        };
        Ok(Self {
            dir,
            site: service(),
            named: service().append_index_html_on_directories(false),
        })
    }

    /// Answers GET and HEAD with what is at the path of a URL; none when nothing is.
    pub(super) async fn serve(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Option<Response<Body>> {
        serve(&self.site, method, uri, headers).await
    }

    /// Answers with the file at a path, taken as it stands; none when no file is there.
    pub(super) async fn serve_named(
        &self,
        path: &str,
        method: &Method,
        headers: &HeaderMap,
    ) -> Option<Response<Body>> {
        let uri = uri_of(path)?;
        serve(&self.named, method, &uri, headers).await
    }
}

/// A URL that is decoded to exactly this path; none for what cannot be the path of a file in the folder.
fn uri_of(path: &str) -> Option<Uri> {
    if path.is_empty() || path.starts_with('/') || path.len() > PATH_BYTES_MAX {
        return None;
    }
    let mut encoded = String::with_capacity(path.len() + 1);
    encoded.push('/');
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded.parse().ok()
}

async fn serve(
    service: &Service,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
) -> Option<Response<Body>> {
    let mut headers = headers.clone();
    let is_get = method == Method::GET;
    // RFC 9110, 14.2: other methods have no ranges, and "an origin server MUST ignore a Range header field that contains a range unit it
    // does not understand".
    if !is_get || !headers.get(RANGE).is_some_and(is_of_bytes) {
        headers.remove(RANGE);
    }
    let response = match headers.remove(IF_RANGE).filter(|_| is_get) {
        Some(validator) if headers.contains_key(RANGE) => {
            serve_if_range(service, uri, headers, &validator).await?
        }
        _ => ask_for_range(service, uri, headers).await?,
    };
    Some(finish(response, is_get))
}

/// RFC 9110, 13.1.5: the range if the file is still the one that the client has a part of, else the whole file.
async fn serve_if_range(
    service: &Service,
    uri: &Uri,
    headers: HeaderMap,
    validator: &HeaderValue,
) -> Option<Response<Body>> {
    let mut without_range = headers.clone();
    without_range.remove(RANGE);
    let whole = ask(service, uri, without_range).await?;
    if whole.status() != StatusCode::OK || !is_valid_for(validator, &whole) {
        return Some(whole);
    }
    match ask_for_range(service, uri, headers).await {
        // It may have been replaced between the two.
        Some(part) if part.headers().get(ETAG) == whole.headers().get(ETAG) => Some(part),
        _ => Some(whole),
    }
}

/// Whether a validator of If-Range names this representation: its strong ETag, or exactly its date.
fn is_valid_for(validator: &HeaderValue, response: &Response<Body>) -> bool {
    let value = |name| response.headers().get(name);
    Some(validator) == value(ETAG) || Some(validator) == value(LAST_MODIFIED)
}

fn is_of_bytes(range: &HeaderValue) -> bool {
    range
        .as_bytes()
        .split(|byte| *byte == b'=')
        .next()
        .is_some_and(|unit| unit.eq_ignore_ascii_case(b"bytes"))
}

/// RFC 9110, 14.1.2: a range may end behind the end, a suffix may be longer than the file, and the unit is `bytes` in any case. The library
/// refuses some of these.
async fn ask_for_range(
    service: &Service,
    uri: &Uri,
    mut headers: HeaderMap,
) -> Option<Response<Body>> {
    let response = ask(service, uri, headers.clone()).await?;
    let text = |value: Option<&HeaderValue>| Some(value?.to_str().ok()?.to_owned());
    let sent = text(response.headers().get(CONTENT_RANGE));
    if sent.as_ref().is_some_and(|sent| sent == "bytes 0-0/0") {
        // An empty file has no range: the library invents one.
        headers.remove(RANGE);
        return ask(service, uri, headers).await;
    }
    if response.status() != StatusCode::RANGE_NOT_SATISFIABLE {
        return Some(response);
    }
    let length = sent.and_then(|sent| sent.strip_prefix("bytes */")?.parse().ok());
    let within = text(headers.get(RANGE))
        .zip(length)
        .and_then(|(range, length)| within(&range, length));
    let Some(within) = within.and_then(|range| HeaderValue::try_from(range).ok()) else {
        return Some(response);
    };
    headers.insert(RANGE, within);
    ask(service, uri, headers).await
}

/// A range that reaches beyond a file of this length, cut to it; none when no byte of the file is in it.
fn within(range: &str, length: u64) -> Option<String> {
    let (_, range) = range.split_once('=')?;
    let (first, last) = range.trim().split_once('-')?;
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse().unwrap_or(u64::MAX))
    };
    let last: u64 = number(last)?;
    let end = length.checked_sub(1)?;
    let (first, last) = match first {
        "" if last > 0 => (length.saturating_sub(last), end),
        first => (number(first).filter(|first| *first <= last)?, last.min(end)),
    };
    (first <= last).then(|| format!("bytes={first}-{last}"))
}

/// Asks as if the method were GET, so that HEAD finds what GET would find.
async fn ask(service: &Service, uri: &Uri, headers: HeaderMap) -> Option<Response<Body>> {
    let mut request = Request::new(());
    *request.uri_mut() = uri.clone();
    *request.headers_mut() = headers;
    match service.clone().try_call(request).await {
        Ok(response) if response.status() == StatusCode::NOT_FOUND => None,
        Ok(response) => Some(response.map(BodyExt::boxed_unsync)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            static FAILED: Seldom = Seldom::new();
            if let Some(left_out) = FAILED.take() {
                tracing::error!(left_out, "a file cannot be served: {error}");
            }
            let line = "500 internal server error: the file cannot be read";
            Some(text(StatusCode::INTERNAL_SERVER_ERROR, line))
        }
    }
}

fn finish(mut response: Response<Body>, is_get: bool) -> Response<Body> {
    // RFC 9110, 15.4.5: a 304 has the Vary that the 200 would have had.
    if response.status() == StatusCode::NOT_MODIFIED {
        response
            .headers_mut()
            .insert(VARY, HeaderValue::from_name(ACCEPT_ENCODING));
    }
    // A redirect to the trailing slash stays on this host: `//name/` would be one to the host `name`.
    if let Some(location) = response.headers().get(LOCATION)
        && location.as_bytes().starts_with(b"//")
    {
        let path = location
            .as_bytes()
            .iter()
            .position(|byte| *byte != b'/')
            .unwrap_or(location.len());
        let location = HeaderValue::from_bytes(&location.as_bytes()[path - 1..]);
        if let Ok(location) = location {
            response.headers_mut().insert(LOCATION, location);
        }
    }
    if is_get {
        response
    } else {
        response.map(|_| empty())
    }
}

/// Opens files relative to a folder, and none outside.
#[derive(Clone)]
struct Beneath {
    dir: Arc<Dir>,
}

/// What tower-http wants to know of a file or folder.
struct About {
    is_dir: bool,
    modified: io::Result<SystemTime>,
    length: u64,
}

struct Opened {
    file: tokio::fs::File,
    length: u64,
    modified: Option<SystemTime>,
}

type Blocking<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

impl Backend for Beneath {
    type File = Opened;
    type Metadata = About;
    type OpenFuture = Blocking<Opened>;
    type MetadataFuture = Blocking<About>;

    fn open(&self, path: PathBuf) -> Self::OpenFuture {
        let dir = Arc::clone(&self.dir);
        blocking(move || {
            // To open a pipe or a device may wait, and may have effects of its own.
            if !dir.metadata(&path)?.is_file() {
                return Err(io::ErrorKind::NotFound.into());
            }
            let mut options = OpenOptions::new();
            // What was a file a moment ago may be a pipe now.
            options.read(true).custom_flags(NO_WAIT);
            let file = dir.open_with(&path, &options)?;
            let metadata = file.metadata()?;
            if !metadata.is_file() {
                return Err(io::ErrorKind::NotFound.into());
            }
            if descriptors::is_reserve(file.as_raw_fd(), 0) {
                return Err(descriptors::exhausted());
            }
            Ok(Opened {
                length: metadata.len(),
                modified: metadata.modified().ok().map(|time| time.into_std()),
                file: tokio::fs::File::from_std(file.into_std()),
            })
        })
    }

    fn metadata(&self, path: PathBuf) -> Self::MetadataFuture {
        let dir = Arc::clone(&self.dir);
        blocking(move || {
            let metadata = dir.metadata(&path)?;
            Ok(About {
                is_dir: metadata.is_dir(),
                modified: metadata.modified().map(|time| time.into_std()),
                length: metadata.len(),
            })
        })
    }
}

#[expect(
    clippy::cast_possible_wrap,
    reason = "flags of open are an int to the system"
)]
const NO_WAIT: i32 = OFlags::NONBLOCK.union(OFlags::NOCTTY).bits() as i32;

fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Blocking<T> {
    Box::pin(async move {
        let result = tokio::task::spawn_blocking(work).await;
        result
            .map_err(io::Error::other)?
            .map_err(|error| match is_of_the_path(&error) {
                true => io::ErrorKind::NotFound.into(),
                false => error,
            })
    })
}

/// Whether an error tells of the path (it leads out, in a circle, to nothing, to what this process may not read) and not of the machine.
fn is_of_the_path(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let of_the_machine = [
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOMEM,
        Errno::IO,
        Errno::STALE,
        Errno::INTR,
        Errno::AGAIN,
    ];
    error
        .raw_os_error()
        .is_none_or(|code| !of_the_machine.contains(&Errno::from_raw_os_error(code)))
}

impl Metadata for About {
    fn is_dir(&self) -> bool {
        self.is_dir
    }

    fn modified(&self) -> io::Result<SystemTime> {
        match &self.modified {
            Ok(time) => Ok(*time),
            Err(error) => Err(error.kind().into()),
        }
    }

    fn len(&self) -> u64 {
        self.length
    }
}

impl File for Opened {
    type Metadata = About;
    type MetadataFuture<'a> = std::future::Ready<io::Result<About>>;

    fn metadata(&self) -> Self::MetadataFuture<'_> {
        std::future::ready(Ok(About {
            is_dir: false,
            modified: self
                .modified
                .ok_or_else(|| io::ErrorKind::Unsupported.into()),
            length: self.length,
        }))
    }
}

impl AsyncRead for Opened {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.file).poll_read(cx, buf)
    }
}

impl AsyncSeek for Opened {
    fn start_seek(mut self: Pin<&mut Self>, position: io::SeekFrom) -> io::Result<()> {
        Pin::new(&mut self.file).start_seek(position)
    }

    fn poll_complete(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        Pin::new(&mut self.file).poll_complete(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_path_is_taken_as_it_stands() {
        let encoded = |path| uri_of(path).map(|uri| uri.path().to_owned());
        assert_eq!(encoded("a/b c.txt").as_deref(), Some("/a/b%20c.txt"));
        assert_eq!(
            encoded("%2e%2e/x?y#z").as_deref(),
            Some("/%252e%252e/x%3Fy%23z")
        );
        assert_eq!(encoded("\0").as_deref(), Some("/%00"));
        for no_file in ["", "/etc/passwd", "//x", &"x".repeat(PATH_BYTES_MAX + 1)] {
            assert_eq!(encoded(no_file), None, "{no_file}");
        }
    }

    #[test]
    fn range_that_reaches_beyond_the_end_is_cut() {
        for (range, length, cut) in [
            ("bytes=-99", 36, Some("bytes=0-35")),
            ("BYTES=0-1", 36, Some("bytes=0-1")),
            ("bytes=0-99999999999999999999999999", 36, Some("bytes=0-35")),
            (
                "bytes=35-99999999999999999999999999",
                36,
                Some("bytes=35-35"),
            ),
            ("bytes=-99999999999999999999999999", 36, Some("bytes=0-35")),
            ("bytes=36-99", 36, None),
            ("bytes=-0", 36, None),
            ("bytes=-5", 0, None),
            ("bytes=5-2", 36, None),
            ("bytes=-1-5", 36, None),
            ("bytes=0-1,4-99", 36, None),
            ("bytes=a-99", 36, None),
            ("bytes=", 36, None),
        ] {
            assert_eq!(within(range, length).as_deref(), cut, "{range}");
        }
    }

    #[test]
    fn only_ranges_of_bytes_are_understood() {
        let is = |value| is_of_bytes(&HeaderValue::from_static(value));
        assert!(is("bytes=0-") && is("Bytes=0-1"));
        assert!(!is("items=0-1") && !is("") && !is("kilobytes=0-1"));
    }
}
