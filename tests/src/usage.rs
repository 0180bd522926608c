//! What a process uses, as Linux tells it.

use std::fs;
use std::time::Duration;

/// A process that is watched.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    pid: u32,
}

/// 2^20 bytes.
pub const MIB: u64 = 1 << 20;

impl Usage {
    /// Watches a process.
    pub fn of(pid: u32) -> Self {
        Self { pid }
    }

    /// Resident memory now, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        self.status_bytes("VmRSS:")
    }

    /// The most memory that was resident since the start or the last [`Usage::restart_peak`], in bytes.
    pub fn peak_bytes(&self) -> u64 {
        self.status_bytes("VmHWM:")
    }

    /// Begins a new peak.
    pub fn restart_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.pid), "5")
            .expect("the kernel resets the peak of a process of ours");
    }

    /// Processor time, user and system.
    pub fn cpu(&self) -> Duration {
        let stat = self.read("stat");
        let fields: Vec<&str> = stat
            .rsplit_once(") ")
            .expect("stat has a name in brackets")
            .1
            .split(' ')
            .collect();
        // Fields 14 and 15 of proc(5), of which the first here is 3, in ticks of 10 ms.
        let ticks: u64 = [11, 12]
            .iter()
            .map(|&at| fields[at].parse::<u64>().expect("ticks are a number"))
            .sum();
        Duration::from_millis(ticks * 10)
    }

    /// Open file descriptors.
    pub fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid))
            .expect("the process lives")
            .count()
    }

    /// The nice value of the thread of this name.
    pub fn nice_of(&self, thread: &str) -> Option<i32> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.pid)).expect("the process lives");
        let stats =
            threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("stat")).ok());
        let named = format!("({thread}) ");
        // Field 19 of proc(5), of which the first behind the name is 3.
        stats
            .filter_map(|stat| stat.split_once(&named).map(|(_, fields)| fields.to_owned()))
            .find_map(|fields| fields.split(' ').nth(16)?.parse().ok())
    }

    fn status_bytes(&self, field: &str) -> u64 {
        let status = self.read("status");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(field))
            .expect("the process lives");
        let kib = line.trim().trim_end_matches(" kB");
        kib.parse::<u64>().expect("kB are a number") * 1024
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.pid)).expect("the process lives")
    }
}
