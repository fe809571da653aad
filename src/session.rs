//! Sessions beside the workers' own: on a subscription's source or target, and in our own database.

use crate::failure::Failure;
use crate::libpq::{Connection, Role};
use crate::pg::{server, xact};
use crate::subscription::{self, Subscription};

/// `what` ends the `application_name`.
pub fn open(subscription: &Subscription, role: Role, what: &str) -> Result<Connection, Failure> {
    let info = match role {
        Role::Source => subscription.source_info()?,
        Role::Target | Role::TargetLook => xact::within(|| subscription.target_info())?,
    };
    let title = subscription.title(what);
    Connection::open(&info, role, &server::encoding(), &title)
}

/// In our own database: what it writes is committed whatever becomes of the caller's transaction. `None` where the server's own
/// socket does not let us in, as may be beside a target that is another server.
pub fn own(subscription: &Subscription, what: &str) -> Option<Connection> {
    let info = xact::within(|| subscription::local_target(&subscription.owner));
    let title = subscription.title(what);
    let mut session =
        Connection::open(&info, Role::TargetLook, &server::encoding(), &title).ok()?;
    // somebody may have the tables locked who waits for us
    session.batch("set lock_timeout = '10s'").ok()?;
    Some(session)
}
