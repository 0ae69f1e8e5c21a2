//! Ctrl-C and the signal that service managers send.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use kimball::CancelToken;
use tokio::runtime::Builder;

use crate::exit::Exit;
use crate::stderr;

/// Whether a signal has come.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Whether this process was told to stop.
pub fn is_interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// From now on the first signal cancels `token` and the second one ends the process at once, which loses
/// nothing: the next run settles what this one left.
pub fn cancel_on_signals(token: CancelToken) {
    let listening = thread::Builder::new().name("kimball-signals".to_owned()).spawn(move || listen(&token));
    if let Err(error) = listening {
        stderr::warning(format_args!("Ctrl-C will end the run at once: {error}"));
    }
}

fn listen(token: &CancelToken) {
    let heard = Builder::new_current_thread().enable_all().build().and_then(|runtime| {
        runtime.block_on(async {
            let mut signals = Signals::new()?;
            signals.next().await?;
            INTERRUPTED.store(true, Ordering::Relaxed);
            token.cancel();
            stderr::line("interrupted: what is loading stops before its commit or ends it, nothing new starts; again to leave at once");
            signals.next().await
        })
    });
    match heard {
        Ok(()) => std::process::exit(i32::from(Exit::Interrupted.code())),
        Err(error) => stderr::warning(format_args!("signals cannot be received: {error}")),
    }
}

/// Ctrl-C and, where there is one, the request to terminate.
struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> io::Result<()> {
        tokio::select! {
            _ = self.terminate.recv() => Ok(()),
            _ = self.interrupt.recv() => Ok(()),
        }
    }
}

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {})
    }

    async fn next(&mut self) -> io::Result<()> {
        tokio::signal::ctrl_c().await
    }
}
