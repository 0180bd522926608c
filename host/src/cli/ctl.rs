//! `wsrun ctl`: asks something of a running server over its admin socket.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};

use super::admin::verbs::{Answer, Reply, Request, StatusReply};
use super::{Failure, say, say_as_it_is, say_lines};
use crate::text::Json;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The --admin socket of the server
    #[arg(long, value_name = "PATH", env = "WSRUN_ADMIN")]
    admin: PathBuf,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Shows what the server is doing and how its handlers fare
    Status {
        /// As one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Prints the metrics in the text format of OpenMetrics
    Metrics,
    /// Replaces a handler without closing a connection, and waits until the new version has passed its trial
    Swap {
        /// The new version [default: the file that the handler came from]
        file: Option<PathBuf>,
        /// The handler, by the name in `status`: that of its --protocol, else of its file. Not needed where there is only one
        #[arg(long, value_name = "NAME")]
        handler: Option<String>,
    },
    /// Has the server accept no more connections, close the open ones within --drain-window, and end
    Drain {
        /// Returns when the server has ended
        #[arg(long)]
        wait: bool,
    },
}

pub(super) fn run(args: Args) -> Result<ExitCode, Failure> {
    let path = &args.admin;
    let mut stream = UnixStream::connect(path)
        .with_context(|| {
            format!(
                "{}: no server answers there (is it started with --admin, and by this user?)",
                path.display()
            )
        })
        .map_err(Failure::usage)?;
    match args.verb {
        Verb::Status { json } => {
            let Answer::Status(status) = ask(&mut stream, path, &Request::Status {})? else {
                return Err(unexpected(path));
            };
            if json {
                say_as_it_is(&Json(&serde_json::to_string(&status)?));
            } else {
                show(&status);
            }
        }
        Verb::Metrics => {
            let Answer::Metrics(text) = ask(&mut stream, path, &Request::Metrics {})? else {
                return Err(unexpected(path));
            };
            say_lines(text.trim_end());
        }
        Verb::Swap { file, handler } => {
            // The server may run in another folder.
            let file = file
                .map(|file| {
                    let absolute = std::path::absolute(&file);
                    absolute.with_context(|| file.display().to_string())
                })
                .transpose()?;
            let request = Request::Swap { handler, file };
            let Answer::Swapped {
                handler,
                file,
                milliseconds,
            } = ask(&mut stream, path, &request)?
            else {
                return Err(unexpected(path));
            };
            say(&format!(
                "{handler}: {} serves, after {milliseconds} ms",
                file.display()
            ));
        }
        Verb::Drain { wait } => {
            ask(&mut stream, path, &Request::Drain {})?;
            say("draining");
            if wait {
                await_end(&mut stream, path)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn ask(stream: &mut UnixStream, path: &Path, request: &Request) -> Result<Answer, Failure> {
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    let mut reply = String::new();
    stream
        .write_all(&line)
        .and_then(|()| BufReader::new(&*stream).read_line(&mut reply))
        .with_context(|| format!("{}", path.display()))?;
    if reply.is_empty() {
        let text = "{}: the server ended the connection: it runs as another user, or has stopped";
        return Err(anyhow!(text.replace("{}", &path.display().to_string())).into());
    }
    match serde_json::from_str(&reply) {
        Ok(Reply::Ok(answer)) => Ok(answer),
        Ok(Reply::Error(text)) => Err(anyhow!(text).into()),
        Err(_) => Err(unexpected(path)),
    }
}

/// Waits for the end of the server, and of no other in its place: what was to end must not be answered for by another.
fn await_end(stream: &mut UnixStream, path: &Path) -> Result<(), Failure> {
    // The server keeps the connection as long as it lives.
    let read = stream.read(&mut [0]);
    let read = read.with_context(|| path.display().to_string())?;
    if read > 0 {
        return Err(unexpected(path));
    }
    let Ok(mut other) = UnixStream::connect(path) else {
        return Ok(());
    };
    let pid = match ask(&mut other, path, &Request::Status {}) {
        Ok(Answer::Status(status)) => format!(" (pid {})", status.pid),
        // It was about to end, or is something else.
        Err(_) => return Ok(()),
        Ok(_) => String::new(),
    };
    Err(anyhow!(
        "the server that was told to drain has ended, but another one{pid} answers at {} now",
        path.display()
    )
    .into())
}

fn unexpected(path: &Path) -> Failure {
    anyhow!(
        "{}: this is not the answer of a wsrun server of the same version",
        path.display()
    )
    .into()
}

/// A number of things.
fn count(number: u64, thing: &str) -> String {
    match number {
        1 => format!("1 {thing}"),
        number => format!("{number} {thing}s"),
    }
}

fn show(status: &StatusReply) {
    say(&format!(
        "wsrun {} (pid {}): {}, up {} s, {}, {}, listening on {}",
        status.version,
        status.pid,
        status.state,
        status.uptime_seconds,
        count(status.connections as u64, "connection"),
        count(status.workers.into(), "worker"),
        status.listening.join(", ")
    ));
    for handler in &status.handlers {
        let file = handler.file.as_deref();
        say(&format!(
            "handler {} ({}):",
            handler.name,
            file.map_or_else(|| "native".into(), |file| file.display().to_string())
        ));
        say(&format!("  connections       {}", handler.connections));
        say(&format!(
            "  messages          {} received, {} sent",
            handler.messages_received, handler.messages_sent
        ));
        say(&format!(
            "  bytes             {} queued, {} session data, {} memory",
            handler.queued_bytes, handler.session_bytes, handler.memory_bytes
        ));
        say(&format!(
            "  callbacks failed  {}{}",
            handler.callbacks_failed,
            match handler.backed_off_workers {
                0 => String::new(),
                workers => format!(", left alone on {}", count(workers, "worker")),
            }
        ));
        say(&format!(
            "  versions          {} taken over, {} given up",
            handler.swaps, handler.swaps_given_up
        ));
        for (limit, hits) in &handler.limits_reached {
            say(&format!(
                "  limit {limit}: reached {}",
                count(*hits, "time")
            ));
        }
    }
}
