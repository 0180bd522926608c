//! The folder of compiled components, from which machine code is run.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use tempfile::TempDir;
use wsrun_tests::admin::Administered;
use wsrun_tests::handlers;
use wsrun_tests::server::{self, Builder, Ended, Server};
use wsrun_tests::wait::until;

/// A handler that answers with `mark` instead of what it was sent.
fn marked(folder: &Path, mark: char) -> PathBuf {
    let text = fs::read_to_string(handlers::source("tests/guests/echo.wat"));
    let text = text.expect("the file is there");
    let send = "(call $send (local.get $connection)";
    assert!(text.contains(send), "it answers");
    let change = format!(
        "(i32.store8 (local.get $start) (i32.const {})) {send}",
        u32::from(mark)
    );
    let text = text.replace(send, &change);
    let text = text.replace(
        "(import \"memory\" \"free\"",
        "(import \"memory\" \"memory\" (memory 2)) (import \"memory\" \"free\"",
    );
    let file = folder.join(format!("{mark}.wat"));
    fs::write(&file, text).expect("the folder can be written");
    file
}

fn entries(cache: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(cache).expect("the cache is there");
    let mut entries: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    entries.sort();
    entries
}

fn with_cache(handler: &Path, cache: &Path) -> Builder {
    Server::of(handler).arg("--cache-dir").arg(cache)
}

fn answers(server: &Server, mark: char) {
    assert_eq!(server.open().ask("?"), mark.to_string());
}

/// The binary with this cache; it must not come up.
#[track_caller]
fn refused(cache: &Path) -> String {
    let arguments = [
        handlers::echo().as_os_str(),
        "--listen".as_ref(),
        "127.0.0.1:0".as_ref(),
        "--cache-dir".as_ref(),
        cache.as_os_str(),
    ]
    .map(ToOwned::to_owned);
    let ended: Ended = server::run(arguments);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert_eq!(ended.stdout, "", "it never listened");
    ended.stderr
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("the mode can be set");
}

#[test]
fn component_is_compiled_once_and_kept_where_nobody_else_can_write() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("not").join("there");
    let handler = marked(folder.path(), 'a');
    answers(&with_cache(&handler, &cache).start(), 'a');
    let mode = |path: &Path| {
        let found = fs::metadata(path).expect("it is there");
        found.permissions().mode() & 0o777
    };
    assert_eq!(mode(&cache), 0o700);
    let [entry] = &entries(&cache)[..] else {
        panic!("one entry: {:?}", entries(&cache));
    };
    assert_eq!(mode(entry), 0o600);
    let written = fs::read(entry).expect("it can be read");
    // Nothing is compiled in so short a time.
    let again = with_cache(&handler, &cache)
        .args(["--compile-timeout", "1ms"])
        .start();
    answers(&again, 'a');
    assert_eq!(fs::read(entry).expect("it can be read"), written);
}

#[test]
fn entry_that_was_made_for_another_component_is_not_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("cache");
    let (one, other) = (marked(folder.path(), 'a'), marked(folder.path(), 'b'));
    answers(&with_cache(&one, &cache).start(), 'a');
    let of_one = entries(&cache)[0].clone();
    answers(&with_cache(&other, &cache).start(), 'b');
    let of_other = entries(&cache).into_iter().find(|entry| *entry != of_one);
    let of_other = of_other.expect("it has an entry of its own");
    fs::copy(&of_one, &of_other).expect("the cache can be written");
    let server = with_cache(&other, &cache).start();
    answers(&server, 'b');
    server.expect_log("is not what was compiled for this component");
    // It was put right.
    let same = fs::read(&of_one).expect("it is there") == fs::read(&of_other).expect("it is there");
    assert!(!same);
}

#[test]
fn folder_that_others_can_write_is_refused_and_so_is_one_below_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let above = folder.path().join("above");
    let cache = above.join("cache");
    fs::create_dir_all(&cache).expect("the folder can be written");
    set_mode(&above, 0o755);
    for (path, mode) in [
        (&cache, 0o777),
        (&cache, 0o1777),
        (&cache, 0o775),
        (&above, 0o777),
    ] {
        set_mode(path, mode);
        let text = refused(&cache);
        let shown = path.display().to_string();
        for words in [
            "may be written by others",
            "chmod go-w",
            "--cache-dir",
            &shown,
        ] {
            assert!(text.contains(words), "no {words:?} for {mode:o} in: {text}");
        }
        set_mode(path, 0o755);
    }
    assert_eq!(entries(&cache), [] as [PathBuf; 0]);
}

#[test]
fn folder_of_another_user_is_refused() {
    if !server::is_root() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let above = folder.path().join("above");
    let cache = above.join("cache");
    fs::create_dir_all(&cache).expect("the folder can be written");
    for path in [&cache, &above] {
        chown(path, Some(65_534), None).expect("root may give it away");
        let text = refused(&cache);
        assert!(text.contains("belongs to user 65534"), "{text}");
        chown(path, Some(0), None).expect("root may take it back");
    }
}

/// A home that none but root can look into.
fn home_of_root() -> TempDir {
    let home = tempfile::tempdir().expect("a folder");
    set_mode(home.path(), 0o700);
    home
}

#[test]
fn version_is_swapped_after_the_user_has_changed_with_the_default_cache() {
    if !server::is_root() {
        return;
    }
    let home = home_of_root();
    let folder = tempfile::tempdir().expect("a folder");
    set_mode(folder.path(), 0o755);
    let handler = folder.path().join("app.wat");
    let becomes = |mark| {
        let version = marked(folder.path(), mark);
        fs::rename(version, &handler).expect("the folder can be written");
    };
    becomes('a');
    let server = Server::of(&handler)
        .env("HOME", home.path())
        .env("XDG_CACHE_HOME", "")
        .args(["--user", "nobody", "--trial-time", "100ms"])
        .start();
    answers(&server, 'a');
    assert_eq!(entries(&home.path().join(".cache/wsrun")).len(), 1);
    becomes('b');
    server.signal(Signal::HUP);
    server.expect_log("handler replaced");
    answers(&server, 'b');
}

#[test]
fn what_is_loaded_is_counted_until_it_is_gone() {
    let folder = tempfile::tempdir().expect("a folder");
    let (one, other) = (marked(folder.path(), 'a'), marked(folder.path(), 'b'));
    let server =
        Administered::start(Server::of(&one).args(["--workers", "2", "--trial-time", "100ms"]));
    let metric = "wsrun_code_bytes{handler=\"a\"}";
    let loaded = server.metric(metric);
    assert!((10_000..10_000_000).contains(&loaded), "{loaded}");
    for file in [&other, &one] {
        let file = file.display().to_string();
        let swapped = server.ctl(["swap", &file]);
        assert_eq!(swapped.code, Some(0), "{swapped:?}");
    }
    until("the versions before are gone", || {
        server.metric(metric) <= loaded * 3 / 2
    });
}
