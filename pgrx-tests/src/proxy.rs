//! A TCP proxy between two servers that can cut, stall and delay.
//!
//! A stalled connection is half open only for the programs: the kernel beneath the proxy still acknowledges what it receives, keepalive
//! probes included. So it shows whether a program notices a silent peer by itself, which is the harder case.
//!
//! It counts how often whoever connects has waited for an answer: that is what a long line costs, whatever the machine is busy with.
//!
//! A delay is that of a long line, not of a slow one: what is on its way, up to a limit, is in a [`pipe`] of blocks, each with
//! the time it came in.

mod pipe;

use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use crate::server::free_port;
use crate::wait;
use pipe::Pipe;

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Open,
    /// No connection lives, none is accepted.
    Cut,
    /// Connections live and new ones are accepted, nothing passes.
    Stalled,
    /// The proxy is gone.
    Closed,
}

struct State {
    way: Way,
    delay: Duration,
    listening: bool,
    streams: Vec<TcpStream>,
    accepted: usize,
    round_trips: usize,
}

/// Which end of a connection something comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Client,
    Server,
}

/// Who spoke last on a connection.
type Last = Arc<Mutex<End>>;

/// A proxy, forwarding as long as it is not told otherwise. Dropping it closes all connections.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: u16,
    state: Mutex<State>,
    changed: Condvar,
}

impl Proxy {
    /// A proxy to a port of this machine.
    pub fn to(upstream: u16) -> Self {
        let listener =
            TcpListener::bind(("127.0.0.1", free_port())).expect("the port was free a moment ago");
        let port = listener
            .local_addr()
            .expect("a bound socket has an address")
            .port();
        let state = State {
            way: Way::Open,
            delay: Duration::ZERO,
            listening: true,
            streams: Vec::new(),
            accepted: 0,
            round_trips: 0,
        };
        let shared = Arc::new(Shared {
            upstream,
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let acceptor = Arc::clone(&shared);
        thread::spawn(move || accept(&acceptor, listener, port));
        Self { port, shared }
    }

    /// Where to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many connections have come in so far.
    pub fn accepted(&self) -> usize {
        self.shared.lock().accepted
    }

    /// How often a client has said something after the server did: what it had to wait for, unless it talks in the middle of an
    /// answer.
    pub fn round_trips(&self) -> usize {
        self.shared.lock().round_trips
    }

    /// Closes all connections and refuses new ones, until [`Self::mend`].
    pub fn cut(&self) {
        self.close(Way::Cut);
    }

    /// Closes all connections, and lets new ones in at once.
    pub fn hang_up(&self) {
        self.cut();
        self.mend();
    }

    /// Keeps all connections and accepts new ones, but lets nothing pass, until [`Self::mend`].
    pub fn stall(&self) {
        self.shared.set(Way::Stalled);
    }

    /// Forwards again.
    pub fn mend(&self) {
        self.shared.set(Way::Open);
        let state = self.shared.lock();
        drop(
            self.shared
                .changed
                .wait_while(state, |state| !state.listening)
                .expect("no thread panics with the lock"),
        );
    }

    /// Lets every piece of data arrive so much later, in both directions. What comes meanwhile follows as closely as it came.
    pub fn delay(&self, delay: Duration) {
        self.shared.lock().delay = delay;
        self.shared.changed.notify_all();
    }

    fn close(&self, way: Way) {
        self.shared.set(way);
        for stream in self.shared.lock().streams.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        // wakes up the acceptor, which then closes its socket
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        let state = self.shared.lock();
        drop(
            self.shared
                .changed
                .wait_while(state, |state| state.listening)
                .expect("no thread panics with the lock"),
        );
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.close(Way::Closed);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics with the lock")
    }

    fn set(&self, way: Way) {
        self.lock().way = way;
        self.changed.notify_all();
    }

    fn set_listening(&self, listening: bool) {
        self.lock().listening = listening;
        self.changed.notify_all();
    }

    fn note(&self, last: &Last, speaker: End) {
        let mut last = last.lock().expect("no thread panics with the lock");
        if (*last, speaker) == (End::Server, End::Client) {
            self.lock().round_trips += 1;
        }
        *last = speaker;
    }

    /// Whether what comes in may be kept until it can go on: that is what a long line does, a stalled one does not.
    fn is_long(&self) -> bool {
        let state = self.lock();
        state.way == Way::Open && !state.delay.is_zero()
    }

    /// Waits while the proxy is stalled, and until what came in at `came` is due. False: this connection ends.
    /// That one side has closed, if it is that, is told also while the proxy is stalled.
    fn may_pass(&self, came: Instant, is_end: bool) -> bool {
        let mut state = self.lock();
        loop {
            let wait = state.delay.saturating_sub(came.elapsed());
            state = match state.way {
                Way::Cut | Way::Closed => return false,
                Way::Stalled if is_end => return true,
                Way::Stalled => self
                    .changed
                    .wait(state)
                    .expect("no thread panics with the lock"),
                Way::Open if wait.is_zero() => return true,
                Way::Open => {
                    self.changed
                        .wait_timeout(state, wait)
                        .expect("no thread panics with the lock")
                        .0
                }
            };
        }
    }
}

fn accept(shared: &Arc<Shared>, mut listener: TcpListener, port: u16) {
    loop {
        let accepted = listener.accept();
        let way = shared.lock().way;
        match (way, accepted) {
            (Way::Open | Way::Stalled, Ok((client, _))) => connect(shared, client),
            (Way::Open | Way::Stalled, Err(_)) => {}
            (Way::Cut | Way::Closed, accepted) => {
                drop(accepted);
                stop_listening(listener);
                shared.set_listening(false);
                let state = shared.lock();
                let cut = |state: &mut State| state.way == Way::Cut;
                let state = shared
                    .changed
                    .wait_while(state, cut)
                    .expect("no thread panics with the lock");
                if state.way == Way::Closed {
                    return;
                }
                drop(state);
                listener = wait::until(
                    Duration::from_secs(10),
                    "the proxy listens on its port again",
                    || TcpListener::bind(("127.0.0.1", port)).ok(),
                );
                shared.set_listening(true);
            }
        }
    }
}

/// Closing alone would not do: a child process that another test is just about to start may have inherited the socket, and
/// keep it listening until it turns into its program.
fn stop_listening(listener: TcpListener) {
    let _ = TcpStream::from(OwnedFd::from(listener)).shutdown(Shutdown::Both);
}

/// Joins a client to the upstream server, which may be down: then the client is hung up on.
fn connect(shared: &Arc<Shared>, client: TcpStream) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", shared.upstream)) else {
        return;
    };
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let mut state = shared.lock();
    state.accepted += 1;
    if matches!(state.way, Way::Cut | Way::Closed) {
        return;
    }
    let last = Arc::new(Mutex::new(End::Client));
    for (speaker, from, to) in [
        (End::Client, &client, &server),
        (End::Server, &server, &client),
    ] {
        let Ok(from) = from.try_clone() else { return };
        let Ok(to) = to.try_clone() else { return };
        Pipe::lay(Arc::clone(shared), Arc::clone(&last), speaker, from, to);
    }
    // closed connections are forgotten here, or a long test would run out of file descriptors
    state.streams.retain(|stream| stream.peer_addr().is_ok());
    state.streams.extend([client, server]);
}
