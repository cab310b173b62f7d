//! Who holds the lock, and whether it can be proven that they are gone.

use std::fmt;

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use crate::clock::Timestamp;

/// What is known of whoever holds the lock.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Holder {
    /// The process, as it calls itself: `petspark 4711/4026531836/1f4c09a2be77@db1` is process 4711 of
    /// the process namespace 4026531836 on host db1, which began to run as 1f4c09a2be77.
    pub process: Option<String>,
    /// On PostgreSQL the number of its server process, for `pg_terminate_backend`.
    pub backend: Option<i32>,
    /// On PostgreSQL the address it connected from.
    pub address: Option<String>,
    /// When it took the lock, or connected in order to.
    pub since: Option<Timestamp>,
}

impl Holder {
    /// Whether it was a process of this very machine and namespace that is there no more. Of
    /// anything else nothing can be proven from here.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        let Some(me) = Process::this() else { return false };
        let process = self.process.as_deref().and_then(Process::parse);
        process
            .is_some_and(|it| it.boot.is_some() && it.boot == me.boot && it.namespace == me.namespace && it.is_gone())
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.process.as_deref().and_then(Process::parse) {
            Some(process) => write!(f, "process {} on {}", process.pid, process.host)?,
            None => write!(f, "{}", self.process.as_deref().unwrap_or("a program that doesn't say its name"))?,
        }
        if let Some(address) = &self.address {
            write!(f, ", connected from {address}")?;
        }
        if let Some(backend) = self.backend {
            write!(f, ", server process {backend}")?;
        }
        match self.since {
            Some(since) => write!(f, ", since {since}"),
            None => Ok(()),
        }
    }
}

/// A process so that another one can tell whether it is still there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Process {
    pid: u32,
    /// No two namespaces that live at the same time have the same number, on one machine.
    namespace: String,
    /// The beginning of the id that Linux gave this run of the machine: no other machine has it, whatever
    /// its name. Releases of before didn't say it.
    boot: Option<String>,
    host: String,
}

/// PostgreSQL cuts an `application_name` to 63 bytes; this is what numbers and punctuation leave.
const HOST_BYTES: usize = 22;

impl Process {
    /// This one; `None` where the operating system has no `/proc`, and nothing could be proven.
    fn this() -> Option<Self> {
        let namespace = std::fs::read_link("/proc/self/ns/pid").ok()?;
        let namespace = namespace.to_str()?.trim_start_matches("pid:[").trim_end_matches(']').to_owned();
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let boot = Some(boot.chars().filter(char::is_ascii_hexdigit).take(12).collect());
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?.trim().to_owned();
        let host = host[..host.floor_char_boundary(HOST_BYTES)].to_owned();
        Some(Self { pid: std::process::id(), namespace, boot, host })
    }

    /// What this process calls itself.
    pub(super) fn own_name() -> String {
        match Self::this() {
            Some(Self { pid, namespace, boot, host }) => {
                format!("petspark {pid}/{namespace}/{}@{host}", boot.unwrap_or_default())
            }
            None => format!("petspark {}/?@?", std::process::id()),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (pid, rest) = text.strip_prefix("petspark ")?.split_once('/')?;
        let (place, host) = rest.split_once('@')?;
        let (namespace, boot) = match place.split_once('/') {
            Some((namespace, boot)) => (namespace, Some(boot.to_owned())),
            None => (place, None),
        };
        Some(Self { pid: pid.parse().ok()?, namespace: namespace.to_owned(), boot, host: host.to_owned() })
    }

    /// Asked is the operating system itself: `/proc` may hide the processes of others.
    fn is_gone(&self) -> bool {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        pid.is_some_and(|pid| test_kill_process(pid) == Err(Errno::SRCH))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_process_that_could_be_seen_here_is_known_to_be_gone() {
        let me = Process::this().unwrap();
        let holder = |process: String| Holder { process: Some(process), ..Holder::default() };
        let Process { pid, namespace, boot, host } = &me;
        let boot = boot.as_deref().unwrap();
        assert!(!holder(Process::own_name()).is_gone());
        assert_eq!(Process::parse(&Process::own_name()), Some(Process::this().unwrap()));
        // No process has a number above 2^22 on Linux.
        assert!(holder(format!("petspark 4194305/{namespace}/{boot}@{host}")).is_gone());
        assert!(!holder(format!("petspark 4194305/{namespace}/0123456789ab@{host}")).is_gone());
        assert!(!holder(format!("petspark 4194305/1/{boot}@{host}")).is_gone());
        // As a release of before calls itself: two machines of one name can't be told from each other.
        assert!(!holder(format!("petspark 4194305/{namespace}@{host}")).is_gone());
        // The first process of all, which others may not send signals to.
        assert!(!holder(format!("petspark 1/{namespace}/{boot}@{host}")).is_gone());
        assert!(!holder("psql".to_owned()).is_gone());
        assert!(!Holder::default().is_gone());
        assert_eq!(holder(Process::own_name()).to_string(), format!("process {pid} on {host}"));
    }

    #[test]
    fn the_longest_name_is_not_cut_by_postgresql() {
        let longest = format!("petspark {}/{}/{}@{}", 1 << 22, u32::MAX, "0".repeat(12), "h".repeat(HOST_BYTES));
        assert!(longest.len() <= 63, "{} bytes", longest.len());
        assert!(Process::own_name().len() <= longest.len());
    }
}
