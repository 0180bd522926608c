//! Server processes: started on a core of their own, accounted for, ended.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;
use rustix::param::clock_ticks_per_second;
use rustix::thread::{CpuSet, sched_setaffinity};

/// A running server. It is killed when this is dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    /// When it was started.
    pub(crate) began: Instant,
    /// From the start of the process until it took a connection.
    pub(crate) start_up: Duration,
}

impl Server {
    /// Starts what `command` makes of a free port, on `cores` if that tells some, and waits until it listens, for `patience` at most.
    pub(crate) fn start(
        cores: Option<Range<usize>>,
        log: &Path,
        patience: Duration,
        command: impl FnOnce(u16) -> Command,
    ) -> anyhow::Result<Self> {
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut command = command(port);
        let log_file = fs::File::create(log)?;
        command
            .stdin(Stdio::null())
            .stdout(log_file.try_clone()?)
            .stderr(log_file);
        let began = Instant::now();
        // A process inherits the affinity of the thread that starts it.
        let child = thread::scope(|scope| {
            let starting = scope.spawn(|| {
                if let Some(cores) = cores {
                    pin(cores)?;
                }
                command
                    .spawn()
                    .with_context(|| format!("cannot start {:?}", command.get_program()))
            });
            starting.join().expect("starting does not panic")
        })?;
        let mut server = Self {
            child,
            address,
            began,
            start_up: Duration::ZERO,
        };
        loop {
            if let Ok(stream) = TcpStream::connect(address) {
                // A connection to oneself is what connecting to a free port of one's own range can be.
                if stream.local_addr()? != address {
                    server.start_up = began.elapsed();
                    return Ok(server);
                }
            }
            if let Some(status) = server.child.try_wait()? {
                bail!("the server ended: {status}: {}", tail(log));
            }
            if began.elapsed() > patience {
                bail!("the server does not listen: {}", tail(log));
            }
            thread::sleep(Duration::from_micros(500));
        }
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn terminate(mut self) -> anyhow::Result<()> {
        let process = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(process, rustix::process::Signal::TERM)?;
        let began = Instant::now();
        while self.child.try_wait()?.is_none() {
            if began.elapsed() > Duration::from_secs(60) {
                bail!("the server does not end");
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Its process id.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(5)..].join(" / ")
}

fn children(process: u32) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{process}/task")) else {
        return Vec::new();
    };
    tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|children| {
            let children = children.split_whitespace().map(str::parse);
            children.flatten().collect::<Vec<u32>>()
        })
        .collect()
}

/// Keeps this thread, and what it starts, on these cores.
pub(crate) fn pin(cores: Range<usize>) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    cores.for_each(|core| set.set(core));
    sched_setaffinity(None, &set).context("cannot pin to a core")
}

/// Which cores server and load generator have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placement {
    /// How many there are to place on; none if the scheduler is to place.
    pub(crate) cores: Option<usize>,
}

impl Placement {
    /// Gives the load generator, which is this thread, a core and returns those of a server with so many workers: the first ones. Both
    /// have the last core if there are as many workers as cores.
    pub(crate) fn of(self, workers: Option<usize>) -> anyhow::Result<Option<Range<usize>>> {
        let Some(cores) = self.cores else {
            return Ok(None);
        };
        let loader = workers.map_or(1, |_| cores - 1);
        pin(loader..loader + 1)?;
        Ok(Some(0..workers.unwrap_or(1)))
    }
}

/// The processor time of a server and of the processes that it has started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accounts {
    process: u32,
}

impl Accounts {
    pub(crate) fn of(process: u32) -> Self {
        Self { process }
    }

    /// Processor time of all their threads, ended ones included, as the scheduler counts it, and of children that have ended, which is told
    /// in ticks of the kernel.
    pub(crate) fn cpu(self) -> anyhow::Result<Duration> {
        let mut processes = vec![self.process];
        let mut next = 0;
        while let Some(&process) = processes.get(next) {
            processes.extend(children(process));
            next += 1;
        }
        let own = time(self.process).context("the server is gone")?;
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process));
        let mut total = own + ended_children(&stat.context("the server is gone")?)?;
        for &child in &processes[1..] {
            // One that has ended since the list was made is told next time, by its parent.
            total += time(child).unwrap_or_default();
        }
        Ok(total)
    }
}

fn time(process: u32) -> nix::Result<Duration> {
    let clock = clock_getcpuclockid(Pid::from_raw(process as i32))?;
    clock.now().map(Duration::from)
}

/// Processor time of children that have ended, in what the kernel tells of a process.
fn ended_children(stat: &str) -> anyhow::Result<Duration> {
    // The name of the program, in brackets, may hold anything.
    let (_, fields) = stat.rsplit_once(')').context("there is no name")?;
    // proc_pid_stat(5): cutime and cstime are fields 16 and 17, of which two are before this.
    let mut fields = fields.split_whitespace().skip(13);
    let mut ticks = || -> anyhow::Result<u64> {
        let field = fields.next().context("there are too few fields")?;
        Ok(field.parse()?)
    };
    let ticks = ticks()? + ticks()?;
    let each = Duration::from_secs(1) / clock_ticks_per_second() as u32;
    Ok(each * u32::try_from(ticks)?)
}

/// Memory of a process: what is resident, and its page tables.
pub(crate) fn memory(process: u32) -> anyhow::Result<Memory> {
    let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup"));
    let status = fs::read_to_string(format!("/proc/{process}/status"));
    Ok(Memory {
        resident: kibibytes(&rollup.context("the server is gone")?, "Rss:")?,
        page_tables: kibibytes(&status.context("the server is gone")?, "VmPTE:")?,
    })
}

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub(crate) resident: u64,
    pub(crate) page_tables: u64,
}

fn kibibytes(text: &str, name: &str) -> anyhow::Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let line = line.with_context(|| format!("there is no line {name}"))?;
    let number = line.trim().trim_end_matches(" kB").trim();
    Ok(number.parse::<u64>()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_of_ended_children_is_read_behind_any_program_name() {
        let ticks = clock_ticks_per_second();
        let stat =
            format!("7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 50 60 {ticks} {ticks} 20 0 1 0\n");
        let time = ended_children(&stat).expect("it is there");
        assert_eq!(time, Duration::from_secs(2));
        assert!(ended_children("7 (a) S 1\n").is_err());
    }
}
