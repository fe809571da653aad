//! Waiting: on our latch, on a socket, for a time. Every wait obeys cancel, terminate, configuration reload and the
//! postmaster's death at once.

use std::ffi::{c_int, c_long, c_short, c_ulong};
use std::time::Duration;

use pgrx::pg_sys;

/// Waits until `timeout` has passed or the latch was set by somebody. Returns whether the latch was set.
pub fn wait(timeout: Duration) -> bool {
    let events = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
    // SAFETY: MyLatch is this process's latch from the start of every backend and worker on.
    let rc = unsafe {
        pg_sys::WaitLatch(
            pg_sys::MyLatch,
            events as c_int,
            millis(timeout),
            pg_sys::PG_WAIT_EXTENSION,
        )
    };
    absorb(rc)
}

/// Waits until the socket is ready for what is asked or `timeout` has passed. Returns whether it is ready.
pub fn wait_socket(socket: c_int, readable: bool, writable: bool, timeout: Duration) -> bool {
    let ready = is_ready(socket, readable, writable, timeout.min(SOON));
    if ready || timeout.is_zero() {
        check_for_interrupts();
        return ready;
    }
    let mut events = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
    if readable {
        events |= pg_sys::WL_SOCKET_READABLE;
    }
    if writable {
        events |= pg_sys::WL_SOCKET_WRITEABLE;
    }
    // SAFETY: as in `wait`; the socket is open, its owner is the caller's connection.
    let rc = unsafe {
        pg_sys::WaitLatchOrSocket(
            pg_sys::MyLatch,
            events as c_int,
            socket,
            millis(timeout),
            pg_sys::PG_WAIT_EXTENSION,
        )
    };
    absorb(rc);
    rc as u32 & (pg_sys::WL_SOCKET_READABLE | pg_sys::WL_SOCKET_WRITEABLE) != 0
}

/// Waits until one of several sockets can be read (or, if so asked, written) or `timeout` has passed; which of them can. A signal
/// ends the wait, but one that comes just before it is felt after the time-out.
pub fn wait_any(sockets: &[(c_int, bool)], timeout: Duration) -> Vec<bool> {
    let watch = |(fd, write): &(c_int, bool)| PollFd {
        fd: *fd,
        events: if *write { POLLOUT } else { POLLIN },
        revents: 0,
    };
    let mut watched: Vec<PollFd> = sockets.iter().map(watch).collect();
    let count = c_ulong::try_from(watched.len()).unwrap_or(0);
    let millis = c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX);
    // SAFETY: as many valid entries, which outlive the call; a negative descriptor is passed over.
    let ready = unsafe { poll(watched.as_mut_ptr(), count, millis) };
    if ready > 0 {
        check_for_interrupts();
    } else {
        // the latch, the postmaster
        wait(Duration::from_millis(1));
    }
    // an error, or the end, is found by reading
    watched.iter().map(|entry| entry.revents != 0).collect()
}

/// In the middle of a COPY the next bytes are there in no time, and a full wait costs half a dozen system calls. The latch is
/// not looked at, but only for this long.
const SOON: Duration = Duration::from_millis(2);

fn is_ready(socket: c_int, readable: bool, writable: bool, timeout: Duration) -> bool {
    let mut events = 0;
    if readable {
        events |= POLLIN;
    }
    if writable {
        events |= POLLOUT;
    }
    let mut watched = PollFd {
        fd: socket,
        events,
        revents: 0,
    };
    let millis = c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX);
    // SAFETY: one valid entry, which outlives the call.
    unsafe { poll(&raw mut watched, 1, millis) > 0 }
}

/// `struct pollfd` of `poll.h`, with its constants on Linux.
#[repr(C)]
struct PollFd {
    fd: c_int,
    events: c_short,
    revents: c_short,
}

const POLLIN: c_short = 1;
const POLLOUT: c_short = 4;

unsafe extern "C" {
    fn poll(watched: *mut PollFd, count: c_ulong, millis: c_int) -> c_int;
}

/// Ends the process or raises a cancel if somebody asked for it.
pub fn check_for_interrupts() {
    pgrx::check_for_interrupts!();
}

fn absorb(rc: c_int) -> bool {
    let set = rc as u32 & pg_sys::WL_LATCH_SET != 0;
    if set {
        // SAFETY: MyLatch as above.
        unsafe { pg_sys::ResetLatch(pg_sys::MyLatch) };
    }
    check_for_interrupts();
    reload_configuration();
    set
}

/// Workers reload the configuration themselves; a backend does it in its command loop.
fn reload_configuration() {
    // SAFETY: reads and clears a flag that only this process's signal handler sets; MyBgworkerEntry is null in a backend.
    unsafe {
        if !pg_sys::MyBgworkerEntry.is_null()
            && (&raw const pg_sys::ConfigReloadPending).read_volatile() != 0
        {
            (&raw mut pg_sys::ConfigReloadPending).write_volatile(0);
            pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP);
        }
    }
}

fn millis(timeout: Duration) -> c_long {
    c_long::try_from(timeout.as_millis().max(1)).unwrap_or(c_long::MAX)
}
