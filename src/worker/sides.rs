//! The two connections of a worker.

use crate::capture::fence;
use crate::failure::Failure;
use crate::libpq::{Connection, Opening, Question, Role};
use crate::pg::{server, xact};
use crate::subscription::Subscription;

/// The one that may write before everything that would act on it is off: it does that.
pub const APPLY: &str = "apply";

/// Connects to source and target. Both connections speak the target's encoding: bytes then pass from one to the other as
/// they are. `what` ends the `application_name`.
pub fn open(subscription: &Subscription, what: &str) -> Result<(Connection, Connection), Failure> {
    open_asking(subscription, what, Vec::new())
}

/// The same; `questions` are foretold to the source.
pub fn open_asking(
    subscription: &Subscription,
    what: &str,
    questions: Vec<Question>,
) -> Result<(Connection, Connection), Failure> {
    let (target, encoding) = open_target(subscription, what)?;
    let info = xact::run(|| subscription.source_info())?;
    let title = subscription.title(what);
    let source = Connection::open_asking(&info, Role::Source, &encoding, &title, questions)?;
    Ok((source, target))
}

/// The same, but the source is not waited for. The target is: mostly it is this server.
pub fn begin(subscription: &Subscription, what: &str) -> Result<(Opening, Connection), Failure> {
    let (target, encoding) = open_target(subscription, what)?;
    let info = xact::run(|| subscription.source_info())?;
    let title = subscription.title(what);
    let source = Opening::begin(&info, Role::Source, &encoding, &title)?;
    Ok((source, target))
}

/// With the encoding that both are to speak.
fn open_target(subscription: &Subscription, what: &str) -> Result<(Connection, String), Failure> {
    let (target, encoding) = xact::run(|| Ok((subscription.target_info()?, server::encoding())))?;
    let title = subscription.title(what);
    let mut target = Connection::open(&target, Role::Target, &encoding, &title)?;
    if target.is_ordinary() && !subscription.ordinary && what != APPLY {
        return Err(Failure::new(
            "55000",
            "triggers and foreign keys of the target would act on what is written there",
        )
        .at(target.origin())
        .hint(format!(
            "Its role may not set session_replication_role any more. The apply worker switches them off when it connects \
             anew: SELECT repl_pause('{0}'); SELECT repl_resume('{0}');",
            subscription.name
        )));
    }
    fence::pass(&mut target, &subscription.uuid)?;
    let encoding = if subscription.target.is_some() {
        target.adopt_server_encoding()?
    } else {
        encoding
    };
    Ok((target, encoding))
}
