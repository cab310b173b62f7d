//! How long a connection may make us wait: shortly in the middle of a request's head, longer
//! between two requests. hyper times both with one timer, and a proxy in front needs idle
//! connections to outlive its own.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What a connection is doing, and since when. Written by the connection's own task on every
/// request, read by its watch a few times a minute: no timer is set or reset for a request.
pub(crate) struct Patience {
    opened: Instant,
    head: Duration,
    idle: Duration,
    /// Requests being answered.
    in_flight: AtomicU32,
    /// Milliseconds after `opened` at which the present wait began.
    since: AtomicU64,
    /// Whether a head has begun to arrive.
    in_head: AtomicU32,
    /// Whether this is HTTP/2, where what arrives between requests is housekeeping.
    is_http2: AtomicBool,
}

impl Patience {
    /// A new connection owes us a request's head.
    pub(crate) fn new(head: Duration, idle: Duration) -> Self {
        Self {
            opened: Instant::now(),
            head,
            idle,
            in_flight: AtomicU32::new(0),
            since: AtomicU64::new(0),
            in_head: AtomicU32::new(1),
            is_http2: AtomicBool::new(false),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A request's head has arrived. Until the guard is dropped nobody is waited for; the
    /// request has a time limit of its own.
    pub(crate) fn begin(self: Arc<Self>, is_http2: bool) -> InFlight {
        self.is_http2.store(is_http2, Ordering::Relaxed);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.in_head.store(0, Ordering::Relaxed);
        InFlight(self)
    }

    /// Bytes have arrived: if nothing was going on, a head has begun.
    fn heard(&self) {
        if self.is_http2.load(Ordering::Relaxed) {
            return;
        }
        if self.in_flight.load(Ordering::Relaxed) == 0 && self.in_head.swap(1, Ordering::Relaxed) == 0 {
            self.since.store(self.now(), Ordering::Relaxed);
        }
    }

    /// Bytes have left: somebody at the other end takes them, however slowly.
    fn spoke(&self) {
        self.since.store(self.now(), Ordering::Relaxed);
    }

    /// Done when the connection has made us wait for too long.
    pub(crate) async fn run_out(&self) {
        // Looking four times in the shortest wait is exact enough: a limit of 10 s means 10 to 12.5 s.
        let pause = (self.head.min(self.idle) / 4).max(Duration::from_millis(10));
        loop {
            tokio::time::sleep(pause).await;
            let limit = if self.in_head.load(Ordering::Relaxed) == 1 { self.head } else { self.idle };
            let waited = self.now().saturating_sub(self.since.load(Ordering::Relaxed));
            if self.in_flight.load(Ordering::Relaxed) == 0 && u128::from(waited) >= limit.as_millis() {
                return;
            }
        }
    }
}

/// A request that is being answered.
pub(crate) struct InFlight(Arc<Patience>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.since.store(self.0.now(), Ordering::Relaxed);
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A socket that tells when bytes arrive.
pub(crate) struct Watched {
    stream: TcpStream,
    patience: Arc<Patience>,
}

impl Watched {
    pub(crate) fn new(stream: TcpStream, patience: Arc<Patience>) -> Self {
        Self { stream, patience }
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.patience.heard();
        }
        result
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(1..)) = result {
            self.patience.spoke();
        }
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        if let Poll::Ready(Ok(1..)) = result {
            self.patience.spoke();
        }
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
