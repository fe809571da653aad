//! Removes every trace from the source.

use crate::failure::Failure;
use crate::libpq::{Connection, Role};
use crate::pg::server;
use crate::subscription::Subscription;
use crate::uninstall;

/// How many tables were captured.
pub fn clean(subscription: &Subscription) -> Result<usize, Failure> {
    let info = subscription.source_info()?;
    Connection::open(
        &info,
        Role::Source,
        &server::encoding(),
        &subscription.title("stop"),
    )
    .and_then(|mut source| uninstall::run(&mut source, subscription))
    .map_err(|failure| {
        if failure.disconnected {
            failure.hint(format!(
                "Call repl_stop again when the source can be reached; if it is gone for good: SELECT repl_stop('{}', \
                 drop_source_objects => false);",
                subscription.name
            ))
        } else {
            failure
        }
    })
}
