//! The two connections of a worker.

use crate::failure::Failure;
use crate::libpq::{Connection, Role};
use crate::pg::{server, xact};
use crate::subscription::Subscription;

/// Connects to source and target. Both connections speak the target's encoding: bytes then pass from one to the other as
/// they are. `what` ends the `application_name`.
pub fn open(subscription: &Subscription, what: &str) -> Result<(Connection, Connection), Failure> {
    let (source, target, encoding) = xact::run(|| {
        Ok((
            subscription.source_info()?,
            subscription.target_info()?,
            server::encoding(),
        ))
    })?;
    let title = subscription.title(what);
    let mut target = Connection::open(&target, Role::Target, &encoding, &title)?;
    let encoding = if subscription.target.is_some() {
        target.adopt_server_encoding()?
    } else {
        encoding
    };
    let source = Connection::open(&source, Role::Source, &encoding, &title)?;
    Ok((source, target))
}
