//! `wsrun ctl`: sends a request to a running server over its admin socket.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use socket2::{Domain, SockAddr, Socket, Type};

use super::admin::verbs::{Answer, Reply, Request, StatusReply};
use super::failure::Failure;
use super::output::{say, say_as_it_is, say_lines};
use super::values::duration;
use wsrun_metrics::text::Json;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The --admin socket of the server
    #[arg(long, value_name = "PATH", env = "WSRUN_ADMIN")]
    admin: PathBuf,
    /// How long the server may take to answer; `swap` gives it the time beside that its --compile-timeout and --trial-time allow
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    timeout: Duration,
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
    let mut server = Server {
        path,
        stream: connect(path, args.timeout).map_err(Failure::usage)?,
        limit: args.timeout,
    };
    match args.verb {
        Verb::Status { json } => {
            let Answer::Status(status) = server.ask(&Request::Status {})? else {
                return Err(unexpected(path));
            };
            if json {
                say_as_it_is(&Json(&serde_json::to_string(&status)?));
            } else {
                show(&status);
            }
        }
        Verb::Metrics => {
            let Answer::Metrics(text) = server.ask(&Request::Metrics {})? else {
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
            let Answer::Status(status) = server.ask(&Request::Status {})? else {
                return Err(unexpected(path));
            };
            let swapping = Duration::from_secs(status.swap_seconds_max);
            server.limit = server.limit.saturating_add(swapping);
            let request = Request::Swap { handler, file };
            let Answer::Swapped {
                handler,
                file,
                milliseconds,
            } = server.ask(&request)?
            else {
                return Err(unexpected(path));
            };
            say(&format!(
                "{handler}: {} serves, after {milliseconds} ms",
                file.display()
            ));
        }
        Verb::Drain { wait } => {
            server.ask(&Request::Drain {})?;
            say("draining");
            if wait {
                server.await_end()?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Connects a socket. `limit` is the time limit for connecting and for each write.
fn connect(path: &Path, limit: Duration) -> anyhow::Result<UnixStream> {
    let address = SockAddr::unix(path).with_context(|| path.display().to_string())?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // The timeout also applies to connecting: the queue of a server that does not accept any more
    // is full.
    socket.set_write_timeout(Some(limit))?;
    match socket.connect(&address) {
        Ok(()) => Ok(socket.into()),
        Err(error) if is_timeout(&error) => Err(silent(path, limit)),
        Err(error) => Err(anyhow::Error::from(error).context(format!(
            "{}: no server answers there (is it started with --admin, and by this user?)",
            path.display()
        ))),
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

fn silent(path: &Path, limit: Duration) -> anyhow::Error {
    anyhow!(
        "{}: the server has not answered within {limit:?}: it stands still, or has too much to do. What was asked for may still happen: see \
         its log and `wsrun ctl status`. --timeout waits longer; SIGTERM, and then SIGKILL, ends a server that hangs",
        path.display()
    )
}

/// The server that gets the requests.
struct Server<'a> {
    path: &'a Path,
    stream: UnixStream,
    /// The time limit for each answer.
    limit: Duration,
}

impl Server<'_> {
    fn ask(&mut self, request: &Request) -> Result<Answer, Failure> {
        let path = self.path;
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        self.stream.set_read_timeout(Some(self.limit))?;
        let mut reply = String::new();
        let mut read = || {
            // A server that answers without reading may have closed already, and its answer says
            // why.
            let written = self.stream.write_all(&line);
            match BufReader::new(&self.stream).read_line(&mut reply) {
                Ok(1..) => Ok(()),
                read => written.and_then(|()| read.map(drop)),
            }
        };
        match read() {
            Ok(()) => {}
            Err(error) if is_timeout(&error) => {
                return Err(Failure::usage(silent(path, self.limit)));
            }
            Err(error) => {
                let error = anyhow::Error::from(error);
                return Err(error.context(path.display().to_string()).into());
            }
        }
        if reply.is_empty() {
            return Err(anyhow!(
                "{}: the server ended the connection: it runs as another user, or has stopped",
                path.display()
            )
            .into());
        }
        match serde_json::from_str(&reply) {
            Ok(Reply::Ok(answer)) => Ok(answer),
            Ok(Reply::Error(text)) => Err(anyhow!(text).into()),
            Err(_) => Err(unexpected(path)),
        }
    }

    /// Waits for the end of the server, without a time limit. Fails when another server answers in
    /// its place afterwards, so that its end is not reported while a server still answers there.
    fn await_end(&mut self) -> Result<(), Failure> {
        let path = self.path;
        self.stream.set_read_timeout(None)?;
        // The server keeps the connection open until it ends.
        let read = self.stream.read(&mut [0]);
        let read = read.with_context(|| path.display().to_string())?;
        if read > 0 {
            return Err(unexpected(path));
        }
        let Ok(stream) = connect(path, self.limit) else {
            return Ok(());
        };
        let mut other = Server { stream, ..*self };
        let pid = match other.ask(&Request::Status {}) {
            Ok(Answer::Status(status)) => format!(" (pid {})", status.pid),
            // The other process was about to end, or is not a server.
            Err(_) => return Ok(()),
            Ok(_) => String::new(),
        };
        Err(anyhow!(
            "the server that was told to drain has ended, but another one{pid} answers at {} now",
            path.display()
        )
        .into())
    }
}

fn unexpected(path: &Path) -> Failure {
    anyhow!(
        "{}: this is not the answer of a wsrun server of the same version",
        path.display()
    )
    .into()
}

/// Formats a number of things: `1 worker`, `2 workers`.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_of_who_closes_without_reading_is_read() {
        let (asking, mut answering) = UnixStream::pair().unwrap();
        answering
            .write_all(b"{\"error\":\"16 others are being answered: ask again\"}\n")
            .unwrap();
        drop(answering);
        let mut server = Server {
            path: Path::new("admin"),
            stream: asking,
            limit: Duration::from_secs(60),
        };
        let failure = server.ask(&Request::Status {}).err().unwrap();
        assert_eq!(
            failure.error.to_string(),
            "16 others are being answered: ask again"
        );
    }
}
