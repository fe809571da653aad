//! The source of a subscription that is stopped: every trace is removed from it.

use crate::capture::{self, Names, fence};
use crate::failure::Failure;
use crate::libpq::{Connection, Role};
use crate::session;
use crate::subscription::Subscription;
use crate::uninstall;

fn connect(subscription: &Subscription) -> Result<Connection, Failure> {
    session::open(subscription, Role::Source, "stop")
}

/// The source is there, and takes writes that should be refused: by other hands.
pub fn has_lost_fence(subscription: &Subscription) -> bool {
    let names = Names::of(&subscription.name);
    let stands = connect(subscription).and_then(|mut source| {
        Ok(capture::own(&mut source, &names, &subscription.uuid)?
            && fence::standing(&mut source, &names)?.is_whole())
    });
    stands.is_ok_and(|stands| !stands)
}

/// How many tables were captured.
pub fn clean(subscription: &Subscription) -> Result<usize, Failure> {
    connect(subscription).and_then(|mut source| uninstall::run(&mut source, subscription))
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
