//! `wsrun ping URL`: round-trip times by WebSocket pings, in the manner of ping(8).

mod pinger;
mod statistics;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use wsrun_proto::limits::Limits;
use wsrun_proto::ws::{Config, Delivery, Event, Timeouts};

use self::pinger::{Answered, PRELOAD_MAX, Pace, Pinger, Plan, SIZE_MAX};
use super::client::{self, Client, PeerArgs};
use super::failure::Failure;
use super::output::say_error;
use super::values::duration;
use wsrun_contract::ConnectOptions;
use wsrun_net::outbound::{Opened, Outbound};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "EXIT CODES:\n  0  a pong came\n  1  none came, or the connection could not be made or ended too early\n  2  wrong arguments"
)]
pub(super) struct Args {
    /// ws://HOST:PORT/PATH, wss://… or ws+unix:PATH
    url: String,
    /// Ends after that many pings [default: at SIGINT or SIGTERM]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Time from ping to ping, at least 1ms [default: 1s; with --flood none]
    #[arg(short, long, value_name = "TIME", value_parser = duration)]
    interval: Option<Duration>,
    /// Sends the next ping when a pong has come. Prints a dot for each ping and takes one back for each pong
    #[arg(short, long)]
    flood: bool,
    /// With --flood: pings that may wait for their pongs, up to 64
    #[arg(
        short = 'l',
        long,
        value_name = "N",
        default_value_t = 1,
        requires = "flood",
        value_parser = clap::value_parser!(u8).range(1..=i64::from(PRELOAD_MAX))
    )]
    preload: u8,
    /// Bytes of a ping's payload, up to 125. It begins with a sequence number of 8 bytes; of a smaller one with what fits of its end
    #[arg(short, long, value_name = "BYTES", default_value_t = 64, value_parser = clap::value_parser!(u8).range(..=i64::from(SIZE_MAX)))]
    size: u8,
    /// Time for the last pong, and with --flood for each
    #[arg(short = 'W', long, value_name = "TIME", value_parser = duration, default_value = "10s")]
    timeout: Duration,
    /// Prints the first line and the summary alone
    #[arg(short, long)]
    quiet: bool,
    /// Time for name and transport, for TLS and for the opening handshake, together
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10s")]
    connect_timeout: Duration,
    #[command(flatten)]
    peer: PeerArgs,
}

impl Args {
    fn plan(&self) -> Plan {
        Plan {
            count: self.count,
            pace: if self.flood {
                Pace::Pongs {
                    preload: self.preload,
                    interval: self.interval,
                }
            } else {
                Pace::Interval(self.interval.unwrap_or(INTERVAL))
            },
            size: self.size,
            timeout: self.timeout,
        }
    }
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let options = args.peer.options(&args.url);
    let outbound = args.peer.outbound(&options, args.connect_timeout)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(ping(args, &outbound, &options));
    // A name lookup may still wait, and must not delay the end of the process.
    runtime.shutdown_background();
    Ok(result?)
}

async fn ping(
    args: &Args,
    outbound: &Outbound,
    options: &ConnectOptions,
) -> anyhow::Result<ExitCode> {
    let Opened {
        stream,
        early,
        request,
        ..
    } = client::open(outbound, options, args.connect_timeout).await?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut client = Client::new(stream, config());
    let mut pinger = Pinger::new(args.plan());
    let mut terminal = Terminal::new(args, request.peer);
    let started = Instant::now();
    terminal.print_start(&args.url);
    client.handle_early(early, |_| {});
    let ended_early = loop {
        let now = Instant::now();
        if pinger.is_done(now) || !terminal.is_read {
            break false;
        }
        while client.takes()
            && let Some(payload) = pinger.poll_ping(now)
        {
            let (connection, scratch) = client.connection();
            connection.send_ping(&payload, scratch)?;
            terminal.print_ping();
        }
        if !client.is_open() {
            break true;
        }
        // A ping that is due but cannot be written waits for the transport.
        let due = pinger
            .poll_timeout(now)
            .filter(|due| *due > now)
            .unwrap_or(now + FAR);
        let take = |event: Event<'_>| {
            if let Event::Pong { payload, .. } = event
                && let Some(answered) = pinger.handle_pong(Instant::now(), payload)
            {
                terminal.print_pong(answered);
            }
        };
        // Every branch is cancel-safe: signals are kept, and a step handles everything that it
        // reads or writes.
        tokio::select! {
            () = client.step(take) => {}
            () = tokio::time::sleep_until(due.into()) => {}
            _ = interrupt.recv() => break false,
            _ = terminate.recv() => break false,
        }
    };
    terminal.print_summary(&pinger, started.elapsed());
    client.close();
    while !client.is_over() {
        tokio::select! {
            () = client.step(|_| {}) => {}
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
        }
    }
    client.shutdown().await;
    if ended_early {
        say_error(&client.end().1);
    }
    Ok(if ended_early || pinger.statistics().count() == 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Returns a configuration that accepts whatever the server sends, keeps none of it, and does not
/// end a silent connection: only pings are measured.
fn config() -> Config {
    Config {
        limits: Limits {
            frame_bytes_max: u64::MAX,
            message_bytes_max: u64::MAX,
            fragments_max: u32::MAX,
            control_frames_per_second_max: u32::MAX,
            ..Limits::default()
        },
        timeouts: Timeouts {
            ping_interval: None,
            idle_timeout: None,
            message_timeout: None,
            close_timeout: CLOSE_TIMEOUT,
        },
        delivery: Delivery::Chunks,
        ..Config::default()
    }
}

/// The output on standard output.
struct Terminal {
    peer: String,
    size: u8,
    shows: Shows,
    /// False once nobody reads the output any more: then the command ends.
    is_read: bool,
}

/// The output between the first line and the summary.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shows {
    Nothing,
    Lines,
    /// As many dots as pings wait for their pongs.
    Dots,
}

impl Terminal {
    fn new(args: &Args, peer: String) -> Self {
        Self {
            peer,
            size: args.size,
            shows: match (args.quiet, args.flood) {
                (true, _) => Shows::Nothing,
                (false, true) => Shows::Dots,
                (false, false) => Shows::Lines,
            },
            is_read: true,
        }
    }

    fn print_start(&mut self, url: &str) {
        let Self { peer, size, .. } = self;
        let line = format!("PING {url} ({peer}): {size} bytes\n");
        self.print(&line);
    }

    fn print_ping(&mut self) {
        if self.shows == Shows::Dots {
            self.print(".");
        }
    }

    fn print_pong(&mut self, answered: Answered) {
        match self.shows {
            Shows::Nothing => {}
            Shows::Dots => self.print(&"\u{8} \u{8}".repeat(1 + answered.skipped)),
            Shows::Lines => {
                let Self { peer, size, .. } = self;
                let Answered { sequence, time, .. } = answered;
                let time = milliseconds(time);
                let line = format!("{size} bytes from {peer}: seq={sequence} time={time} ms\n");
                self.print(&line);
            }
        }
    }

    fn print_summary(&mut self, pinger: &Pinger, time: Duration) {
        let (sent, received) = (pinger.sent(), pinger.statistics().count());
        let beside = |number: u64, what: &str| match number {
            0 => String::new(),
            number => format!(", {number} {what}"),
        };
        let skipped = beside(pinger.skipped(), "answered by a later pong");
        let unexpected = beside(pinger.unexpected(), "unexpected");
        let lost = percent(sent.saturating_sub(received + pinger.skipped()), sent);
        let mut text = format!(
            "{sent} pings sent, {received} pongs received{skipped}{unexpected}, {lost}% lost, time {}ms\n",
            time.as_millis()
        );
        if let Some(line) = pinger.statistics().line() {
            text = format!("{text}{line}\n");
        }
        self.print(&format!("\n{text}"));
    }

    fn print(&mut self, text: &str) {
        let mut out = io::stdout().lock();
        let printed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        self.is_read &= printed.is_ok();
    }
}

/// Formats a time with as many digits as ping(8) shows.
fn milliseconds(time: Duration) -> String {
    let time = time.as_secs_f64() * 1e3;
    let digits = match time {
        ..1.0 => 3,
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    format!("{time:.digits$}")
}

fn percent(part: u64, whole: u64) -> String {
    let percent = part as f64 * 100.0 / whole.max(1) as f64;
    let text = format!("{percent:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

const INTERVAL: Duration = Duration::from_secs(1);

/// The time for the close handshake, which is short since a person waits for the end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

const FAR: Duration = Duration::from_secs(3_600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_digits_that_matter() {
        for (microseconds, text) in [
            (33, "0.033"),
            (4_217, "4.22"),
            (12_345, "12.3"),
            (123_456, "123"),
        ] {
            assert_eq!(milliseconds(Duration::from_micros(microseconds)), text);
        }
    }

    #[test]
    fn percentages_are_short() {
        assert_eq!(percent(0, 0), "0");
        assert_eq!(percent(0, 7), "0");
        assert_eq!(percent(7, 7), "100");
        assert_eq!(percent(1, 3), "33.3333");
        assert_eq!(percent(1, 1_000), "0.1");
    }
}
