//! SIGINT and SIGTERM: the first one asks a command to end in good order, the second means now.

use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::sync::OnceLock;

use crate::exit::Exit;
use crate::plugin::Failure;

/// Whether long work was asked to stop: it looks at this between its parts.
#[derive(Default)]
pub(crate) struct Stop(OnceLock<Exit>);

impl Stop {
    /// How the process ends then.
    pub(crate) fn asked(&self) -> Option<Exit> {
        self.0.get().copied()
    }
}

/// Does work that comes to a good end by itself when `stop` was asked, which the first signal does.
/// The second gives the work up in the middle: then the inner result is how the process ends.
pub(crate) async fn stoppable<T>(
    stop: &Stop,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<Result<T, Exit>, Failure> {
    let mut signals = Signals::listen().map_err(|error| Failure::io("can't listen for signals", &error))?;
    tokio::select! {
        done = work => done.map(Ok),
        exit = async {
            let first = signals.next().await;
            stop.0.get_or_init(|| first);
            signals.next().await
        } => Ok(Err(exit)),
    }
}

/// The same for work that reads a file; at a terminal Ctrl-C ends it at once, as somebody who is
/// asked for input expects.
pub(crate) async fn stoppable_reading<T>(
    path: &Path,
    stop: &Stop,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<Result<T, Exit>, Failure> {
    if path.as_os_str() == "-" && io::stdin().is_terminal() {
        return work.await.map(Ok);
    }
    stoppable(stop, work).await
}

/// The signals that ask a process to end, from when this was made: none is lost meanwhile, and
/// none ends the process any more by itself.
pub(crate) struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    pub(crate) fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for the next one, and says how a process ends that was stopped by it.
    pub(crate) async fn next(&mut self) -> Exit {
        tokio::select! {
            Some(()) = self.interrupt.recv() => Exit::Interrupted,
            Some(()) = self.terminate.recv() => Exit::Terminated,
            else => std::future::pending().await,
        }
    }
}

#[cfg(not(unix))]
impl Signals {
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {})
    }

    /// Waits for the next Ctrl-C.
    pub(crate) async fn next(&mut self) -> Exit {
        match tokio::signal::ctrl_c().await {
            Ok(()) => Exit::Interrupted,
            Err(_) => std::future::pending().await,
        }
    }
}
