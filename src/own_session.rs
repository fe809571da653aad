//! A session in our own database: what it writes is committed whatever becomes of the transaction that wants it written.

use crate::libpq::{Connection, Role};
use crate::pg::{server, xact};
use crate::subscription::{self, Subscription};

/// `None` where the server's own socket does not let us in, as may be beside a target that is another server.
pub fn open(subscription: &Subscription, what: &str) -> Option<Connection> {
    let info = xact::within(|| subscription::local_target(&subscription.owner));
    let title = subscription.title(what);
    let mut session =
        Connection::open(&info, Role::TargetLook, &server::encoding(), &title).ok()?;
    // somebody may have the tables locked who waits for us
    session.batch("set lock_timeout = '10s'").ok()?;
    Some(session)
}
