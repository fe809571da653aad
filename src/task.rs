//! Pieces of the initial copy, in `decamp.task`: claimed by copy workers until none is left.
//!
//! ```text
//!  pending --> running --> done
//!     ^__________|   its worker failed or is gone
//! ```
//! Within a table the kinds come one after the other: chunks, duplicates, indexes, constraints, analyze; foreign keys and
//! their validation when both tables are ready; triggers and rules, which only an ordinary role on the target has to switch
//! off, at the very end. Whether the work of a running task whose worker is gone had been committed is
//! told by `decamp.applied` on the target, not by this table.
//!
//! Everything here needs an open transaction.

use std::collections::HashSet;

use crate::failure::Failure;
use crate::libpq::Flow;
use crate::pg::spi;
use crate::quote;
use crate::row::Row;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Chunk,
    Duplicates,
    Index,
    Constraint,
    Analyze,
    ForeignKey,
    Validation,
    Trigger,
    Rule,
}

impl Kind {
    const ALL: [Self; 9] = [
        Self::Chunk,
        Self::Duplicates,
        Self::Index,
        Self::Constraint,
        Self::Analyze,
        Self::ForeignKey,
        Self::Validation,
        Self::Trigger,
        Self::Rule,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chunk => "chunk",
            Self::Duplicates => "duplicates",
            Self::Index => "index",
            Self::Constraint => "constraint",
            Self::Analyze => "analyze",
            Self::ForeignKey => "foreign key",
            Self::Validation => "validation",
            Self::Trigger => "trigger",
            Self::Rule => "rule",
        }
    }

    pub fn parse(text: &str) -> Self {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .unwrap_or_else(|| panic!("the check constraint allows no task kind {text:?}"))
    }

    /// A task waits for those of its table with a lower phase.
    fn phase(self) -> i32 {
        1 + Self::ALL
            .iter()
            .position(|kind| *kind == self)
            .map_or(0, |at| i32::try_from(at).expect("there are nine"))
    }

    /// Acts on rows that arrive unless session_replication_role is set or it is off.
    pub fn is_firing(self) -> bool {
        matches!(
            self,
            Self::ForeignKey | Self::Validation | Self::Trigger | Self::Rule
        )
    }

    /// Builds again what was taken off the target.
    pub fn is_build(self) -> bool {
        matches!(
            self,
            Self::Index | Self::Constraint | Self::ForeignKey | Self::Validation
        )
    }
}

/// A task as a worker gets it.
#[derive(Clone, Debug)]
pub struct Task {
    pub id: i64,
    pub source_oid: u32,
    pub kind: Kind,
    /// of an index or constraint
    pub name: Option<String>,
    /// where a chunk is from: oid, quoted name, filenode if that matters
    pub member: Option<(u32, String, Option<u32>)>,
    pub condition: Option<String>,
    pub statements: Vec<String>,
    pub attempts: i64,
    /// how often somebody cancelled its statement before
    pub cancelled: i64,
}

impl Task {
    /// The name of the task that gives partitions made meanwhile their indexes.
    pub const NEW_PARTITIONS: &str = "new partitions";

    /// Whether what was to be built is on the target already: 42P07, 42710: a relation or constraint of that name; 42P16: a
    /// primary key.
    pub fn is_there(&self, failure: &Failure) -> bool {
        self.kind.is_build()
            && self.name.as_deref() != Some(Self::NEW_PARTITIONS)
            && matches!(failure.sqlstate.as_str(), "42P07" | "42710" | "42P16")
    }
}

/// Claimed for this process: all of one kind.
pub struct Claim {
    pub tasks: Vec<Task>,
    /// how many workers have nothing to do now
    pub spare: i64,
}

/// `None`: there is nothing to do right now.
pub fn claim(subscription: i32) -> Option<Claim> {
    let rows = spi::write(
        include_str!("../sql/state/claim.sql"),
        &[Some(&subscription.to_string())],
    );
    let spare = rows.first()?.int("spare");
    let mut tasks: Vec<Task> = rows.iter().map(read).collect();
    tasks.sort_by_key(|task| task.id);
    Some(Claim { tasks, spare })
}

fn read(row: &Row) -> Task {
    let oid = |name| {
        row.opt_int(name)
            .map(|oid| u32::try_from(oid).expect("an oid fits 32 bits"))
    };
    Task {
        id: row.int("id"),
        source_oid: row.oid("source_oid"),
        kind: Kind::parse(row.text("kind")),
        name: row.opt("name").map(str::to_owned),
        member: oid("member").map(|member| (member, row.string("member_name"), oid("filenode"))),
        condition: row.opt("condition").map(str::to_owned),
        statements: statements(row),
        attempts: row.int("attempts"),
        cancelled: row.int("cancelled"),
    }
}

fn statements(row: &Row) -> Vec<String> {
    row.opt("statements").map_or_else(Vec::new, |json| {
        serde_json::from_str(json).expect("array_to_json of text[] without NULLs")
    })
}

/// A task to be made.
pub struct New<'a> {
    pub source_oid: u32,
    pub kind: Kind,
    pub name: Option<&'a str>,
    pub statements: &'a [String],
    pub other_oid: Option<u32>,
    pub bytes: i64,
}

/// Makes a task, unless the table has an open one of that kind and name already.
pub fn insert(subscription: i32, new: &New) {
    spi::update(
        "insert into decamp.task (subscription_id, source_oid, kind, phase, name, statements, other_oid, bytes) \
         select $1::int4, $2::oid, $3, $4::int4, $5, $6::text[], $7::oid, $8::int8 \
         where not exists (select from decamp.task t \
                           where t.subscription_id = $1::int4 and t.source_oid = $2::oid and t.kind = $3 \
                             and t.name is not distinct from $5 and t.state <> 'done')",
        &[
            Some(&subscription.to_string()),
            Some(&new.source_oid.to_string()),
            Some(new.kind.as_str()),
            Some(&new.kind.phase().to_string()),
            new.name,
            Some(&quote::array(new.statements)),
            new.other_oid.map(|oid| oid.to_string()).as_deref(),
            Some(&new.bytes.to_string()),
        ],
    );
}

/// A chunk to be made.
pub struct NewChunk<'a> {
    pub source_oid: u32,
    pub member: u32,
    pub member_name: &'a str,
    pub filenode: Option<u32>,
    pub condition: Option<&'a str>,
    pub bytes: i64,
    pub rows_estimate: i64,
}

pub fn insert_chunk(subscription: i32, new: &NewChunk) {
    spi::update(
        "insert into decamp.task (subscription_id, source_oid, kind, phase, member, member_name, filenode, condition, bytes, \
                                  rows_estimate) \
         values ($1::int4, $2::oid, 'chunk', 1, $3::oid, $4, $5::oid, $6, $7::int8, $8::int8)",
        &[
            Some(&subscription.to_string()),
            Some(&new.source_oid.to_string()),
            Some(&new.member.to_string()),
            Some(new.member_name),
            new.filenode.map(|node| node.to_string()).as_deref(),
            new.condition,
            Some(&new.bytes.to_string()),
            Some(&new.rows_estimate.to_string()),
        ],
    );
}

/// Forgets a table's tasks of one kind.
pub fn forget(subscription: i32, oid: u32, kind: Kind) {
    spi::update(
        "delete from decamp.task where subscription_id = $1::int4 and source_oid = $2::oid and kind = $3",
        &[
            Some(&subscription.to_string()),
            Some(&oid.to_string()),
            Some(kind.as_str()),
        ],
    );
}

/// All tasks of a table.
pub fn ids_of(subscription: i32, oid: u32) -> Vec<i64> {
    spi::read(
        "select id from decamp.task where subscription_id = $1::int4 and source_oid = $2::oid",
        &[Some(&subscription.to_string()), Some(&oid.to_string())],
    )
    .iter()
    .map(|row| row.int("id"))
    .collect()
}

/// Opens a table's tasks of one kind anew, or declares them done.
pub fn set_open(subscription: i32, oid: u32, kind: Kind, open: bool) {
    spi::update(
        "update decamp.task set state = case when $4::bool then 'pending' else 'done' end \
         where subscription_id = $1::int4 and source_oid = $2::oid and kind = $3",
        &[
            Some(&subscription.to_string()),
            Some(&oid.to_string()),
            Some(kind.as_str()),
            Some(&open.to_string()),
        ],
    );
}

/// Forgets what has been built again; it is about to be taken off once more. Not how duplicates are removed: that is known
/// only as long as the key is there.
pub fn forget_built(subscription: i32, oid: u32) {
    spi::update(
        "delete from decamp.task where subscription_id = $1::int4 and source_oid = $2::oid and phase > 2 and state = 'done'",
        &[Some(&subscription.to_string()), Some(&oid.to_string())],
    );
}

/// Forgets a task by its name: what it would build stayed in place.
pub fn forget_named(subscription: i32, oid: u32, kind: Kind, name: &str) {
    spi::update(
        "delete from decamp.task where subscription_id = $1::int4 and source_oid = $2::oid and kind = $3 and name = $4",
        &[
            Some(&subscription.to_string()),
            Some(&oid.to_string()),
            Some(kind.as_str()),
            Some(name),
        ],
    );
}

/// The claimed tasks begin on the target, in the session with that process id.
pub fn at_work(tasks: &[Task], target_pid: i64) {
    spi::update(
        "update decamp.task set target_pid = $2::int4 where id = any ($1::int8[])",
        &[Some(&ids(tasks)), Some(&target_pid.to_string())],
    );
}

/// Whether an index or constraint is being built right now.
pub fn is_building(subscription: i32) -> bool {
    let sql = "select 1 from decamp.task t where t.subscription_id = $1::int4 and t.state = 'running' and t.target_pid is not null \
               limit 1";
    !spi::read(sql, &[Some(&subscription.to_string())]).is_empty()
}

/// How far the build is that runs in a session of the target.
pub fn built(subscription: i32, target_pid: i64, part: &str) {
    spi::update(
        "update decamp.task set part = $3::float8 \
         where subscription_id = $1::int4 and state = 'running' and target_pid = $2::int4",
        &[
            Some(&subscription.to_string()),
            Some(&target_pid.to_string()),
            Some(part),
        ],
    );
}

/// How far a running chunk is.
pub fn progress(id: i64, flow: Flow) {
    spi::update(
        "update decamp.task set rows_done = $2::int8, bytes_done = $3::int8 where id = $1::int8",
        &[
            Some(&id.to_string()),
            Some(&flow.rows.to_string()),
            Some(&flow.bytes.to_string()),
        ],
    );
}

pub fn finish(id: i64, flow: Option<Flow>) {
    let count = |of: fn(Flow) -> u64| flow.map(|flow| of(flow).to_string());
    spi::update(
        "update decamp.task set state = 'done', finished_at = pg_catalog.clock_timestamp(), error = null, part = null, \
                worker_pid = null, worker_since = null, target_pid = null, \
                rows_done = coalesce($2::int8, rows_done), bytes_done = coalesce($3::int8, bytes_done) \
         where id = $1::int8",
        &[
            Some(&id.to_string()),
            count(|flow| flow.rows).as_deref(),
            count(|flow| flow.bytes).as_deref(),
        ],
    );
}

/// Puts tasks back, to be tried again after a while, or, without a failure, because they were not tried.
pub fn put_back(tasks: &[Task], failure: Option<&Failure>, wait_ms: u128) {
    spi::update(
        "update decamp.task set state = 'pending', worker_pid = null, worker_since = null, target_pid = null, part = null, \
                error = $2, not_before = pg_catalog.clock_timestamp() + $3::int8 * interval '1 millisecond', \
                attempts = attempts - case when $2 is null then 1 else 0 end, \
                cancelled = cancelled + case when $4 = '57014' then 1 else 0 end \
         where id = any ($1::int8[])",
        &[
            Some(&ids(tasks)),
            failure.map(Failure::line).as_deref(),
            Some(&wait_ms.to_string()),
            failure.map(|f| f.sqlstate.as_str()),
        ],
    );
}

fn ids(tasks: &[Task]) -> String {
    let ids: Vec<String> = tasks.iter().map(|task| task.id.to_string()).collect();
    quote::array(&ids)
}

/// Puts back the tasks of workers that are gone; how many.
pub fn reclaim(subscription: i32) -> u64 {
    spi::update(
        "update decamp.task t set state = 'pending', worker_pid = null, worker_since = null, target_pid = null, part = null \
         where t.subscription_id = $1::int4 and t.state = 'running' \
           and not exists (select 1 from pg_catalog.pg_stat_get_activity(null) a \
                           where a.pid = t.worker_pid and a.backend_start = t.worker_since)",
        &[Some(&subscription.to_string())],
    )
}

/// Why a task failed last.
pub fn error_of(id: i64) -> Option<String> {
    spi::read(
        "select error from decamp.task where id = $1::int8",
        &[Some(&id.to_string())],
    )
    .first()
    .and_then(|row| row.opt("error").map(str::to_owned))
}

/// A person has acted: what failed is tried again at once.
pub fn forgive(subscription: i32) {
    spi::update(
        "update decamp.task set not_before = null, attempts = 0, cancelled = 0 \
         where subscription_id = $1::int4 and state = 'pending' and attempts > 0",
        &[Some(&subscription.to_string())],
    );
}

/// Puts back what this process has at hand.
pub fn put_back_own() {
    spi::update(
        "update decamp.task set state = 'pending', worker_pid = null, worker_since = null, target_pid = null, part = null, \
                attempts = attempts - 1 \
         where state = 'running' and worker_pid = pg_catalog.pg_backend_pid()",
        &[],
    );
}

/// The tables on whose counterparts something was noted to be built again: it may be off already.
pub fn deferred(subscription: i32) -> HashSet<u32> {
    spi::read(
        "select distinct source_oid::int8 as oid from decamp.task \
         where subscription_id = $1::int4 and phase between 2 and 5 and state <> 'done'",
        &[Some(&subscription.to_string())],
    )
    .iter()
    .map(|row| row.oid("oid"))
    .collect()
}

/// How many workers have chunks at hand.
pub fn copying(subscription: i32) -> i64 {
    spi::read(
        "select count(distinct worker_pid) as n from decamp.task \
         where subscription_id = $1::int4 and state = 'running' and kind = 'chunk'",
        &[Some(&subscription.to_string())],
    )[0]
    .int("n")
}

/// How many indexes, constraints and foreign keys of a table are off, as it is committed now.
pub fn unbuilt(subscription: i32, oid: u32) -> i64 {
    spi::read_now(
        "select count(*) as n from decamp.task \
         where subscription_id = $1::int4 and source_oid = $2::oid and phase in (3, 4, 6, 7) and state <> 'done'",
        &[Some(&subscription.to_string()), Some(&oid.to_string())],
    )[0]
    .int("n")
}

/// Tasks of a table that a worker has at hand.
pub fn running(subscription: i32, oid: u32) -> i64 {
    spi::read(
        "select count(*) as n from decamp.task t \
         where t.subscription_id = $1::int4 and t.source_oid = $2::oid and t.state = 'running'",
        &[Some(&subscription.to_string()), Some(&oid.to_string())],
    )[0]
    .int("n")
}

/// What there is to do for copy workers.
pub struct Open {
    /// tables are not complete
    pub copying: bool,
    /// tasks that could be claimed right now
    pub claimable: i64,
}

pub fn open(subscription: i32) -> Open {
    let row = &spi::read(
        include_str!("../sql/state/open.sql"),
        &[Some(&subscription.to_string())],
    )[0];
    Open {
        copying: row.flag("copying"),
        claimable: row.int("claimable"),
    }
}

/// Nothing more of a table is to be copied: what has not begun is forgotten.
pub fn forget_copy(subscription: i32, oid: u32) {
    spi::update(
        "delete from decamp.task t where t.subscription_id = $1::int4 and t.source_oid = $2::oid and t.state = 'pending' \
           and t.phase in (1, 2, 5)",
        &[Some(&subscription.to_string()), Some(&oid.to_string())],
    );
}

/// Whether copy workers still build indexes or constraints of the table.
pub fn is_to_be_built(subscription: i32, oid: u32) -> bool {
    !spi::read(
        "select 1 from decamp.task t join decamp.relation r using (subscription_id, source_oid) \
         where t.subscription_id = $1::int4 and t.source_oid = $2::oid and t.state <> 'done' and t.phase in (3, 4) \
           and r.planned and r.state in ('copying', 'copied') limit 1",
        &[Some(&subscription.to_string()), Some(&oid.to_string())],
    )
    .is_empty()
}

/// Takes the open builds of a table, and those of others that refer to it, out of the tasks; with their SQL, in the order in
/// which they can be run.
pub fn take_builds(subscription: i32, oid: u32) -> Vec<Task> {
    let mut taken = open_builds(subscription);
    let referring: HashSet<i64> = spi::write(
        "delete from decamp.task t where t.subscription_id = $1::int4 and (t.source_oid = $2::oid or t.other_oid = $2::oid) \
           and t.state <> 'done' and t.phase not in (1, 2, 5) returning t.id",
        &[Some(&subscription.to_string()), Some(&oid.to_string())],
    )
    .iter()
    .map(|row| row.int("id"))
    .collect();
    taken.retain(|task| referring.contains(&task.id));
    taken
}

/// Open tasks that build something again on the target: table, kind, name, statements, in the order in which they can be
/// run one by one.
pub fn open_builds(subscription: i32) -> Vec<Task> {
    spi::read(
        "select t.id, t.source_oid::int8 as source_oid, t.kind, t.name, null::int8 as member, null as member_name, \
                null::int8 as filenode, null as condition, pg_catalog.array_to_json(t.statements)::text as statements, \
                t.attempts, t.cancelled \
         from decamp.task t where t.subscription_id = $1::int4 and t.state <> 'done' and t.phase not in (1, 2, 5) \
         order by t.phase, t.source_oid, t.id",
        &[Some(&subscription.to_string())],
    )
    .iter()
    .map(read)
    .collect()
}
