//! Who holds a lease, and whether that process is still there.

use std::fs;

/// A process, told apart from every other one: also from a later one with the same number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Name of the machine.
    pub host: String,
    /// Changes whenever the machine starts.
    pub boot_id: String,
    /// Number of the process.
    pub pid: i64,
    /// When the process started, in the kernel's ticks since the machine did; 0 where that is unknown.
    pub process_start: i64,
}

/// What can be said of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveness {
    /// It runs.
    Alive,
    /// It has ended, for certain.
    Dead,
    /// It runs elsewhere, or this system does not tell.
    Unknown,
}

impl Owner {
    /// This process.
    pub fn this_process() -> Self {
        let pid = i64::from(std::process::id());
        Self { host: host(), boot_id: boot_id(), pid, process_start: start_of(pid).unwrap_or_default() }
    }

    /// Whether the process still runs, as seen from this one.
    pub fn liveness(&self) -> Liveness {
        let here = Self::this_process();
        if self == &here {
            return Liveness::Alive;
        }
        if self.host != here.host || self.boot_id.is_empty() {
            return Liveness::Unknown;
        }
        if self.boot_id != here.boot_id {
            return Liveness::Dead;
        }
        match start_of(self.pid) {
            Some(start) if start == self.process_start => Liveness::Alive,
            Some(_) => Liveness::Dead,
            None if fs::metadata("/proc/self/stat").is_ok() => Liveness::Dead,
            None => Liveness::Unknown,
        }
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
}

fn host() -> String {
    read("/proc/sys/kernel/hostname")
}

fn boot_id() -> String {
    read("/proc/sys/kernel/random/boot_id")
}

/// The 22nd field of `/proc/<pid>/stat`; the second one may hold spaces and ends with the last `)`. A process
/// that has ended and waits to be collected does not count.
fn start_of(pid: i64) -> Option<i64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Liveness, Owner};

    #[test]
    fn this_process_is_alive_and_one_that_started_at_another_time_is_dead() {
        let here = Owner::this_process();
        assert_eq!(here.liveness(), Liveness::Alive);
        let earlier = Owner { process_start: here.process_start - 1, ..here.clone() };
        assert_eq!(earlier.liveness(), Liveness::Dead);
        let before_boot = Owner { boot_id: "another".to_owned(), ..here.clone() };
        assert_eq!(before_boot.liveness(), Liveness::Dead);
        let elsewhere = Owner { host: "another".to_owned(), ..here };
        assert_eq!(elsewhere.liveness(), Liveness::Unknown);
    }
}
