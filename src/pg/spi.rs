//! SQL on our own server. Parameters are bound as text and cast in the SQL (`$1::int`); results come back as text rows. Each
//! statement is parsed and planned once in a while, not each time: a copy of thousands of tables is tens of thousands of
//! small ones.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::rc::Rc;

use pgrx::{IntoDatum, pg_sys};

use crate::row::Row;

/// Runs a query that only reads. It sees the snapshot of the calling statement or transaction and takes no transaction id.
pub fn read(sql: &'static str, parameters: &[Option<&str>]) -> Vec<Row> {
    execute(sql, parameters, true).0
}

/// Runs a query that only reads, on a snapshot taken now: inside a function that waits, this sees what others committed
/// meanwhile.
pub fn read_now(sql: &'static str, parameters: &[Option<&str>]) -> Vec<Row> {
    // SAFETY: pushes and pops in pairs; on ERROR the transaction's abort pops it.
    unsafe { pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot()) };
    let rows = read(sql, parameters);
    // SAFETY: the snapshot pushed above is the active one.
    unsafe { pg_sys::PopActiveSnapshot() };
    rows
}

/// Runs a statement that writes; rows of `RETURNING`.
pub fn write(sql: &'static str, parameters: &[Option<&str>]) -> Vec<Row> {
    execute(sql, parameters, false).0
}

/// Runs a statement that writes; how many rows it concerned.
pub fn update(sql: &'static str, parameters: &[Option<&str>]) -> u64 {
    execute(sql, parameters, false).1
}

fn execute(sql: &'static str, parameters: &[Option<&str>], read_only: bool) -> (Vec<Row>, u64) {
    let mut nulls: Vec<u8> = parameters
        .iter()
        .map(|p| if p.is_some() { b' ' } else { b'n' })
        .collect();
    nulls.push(0);
    // SAFETY: SPI is entered and left in pairs (on ERROR the server cleans up); all pointers live until SPI_finish; values
    // are copied out before it. The datums are allocated in the caller's memory context, before SPI_connect switches it.
    unsafe {
        let mut values: Vec<pg_sys::Datum> = parameters
            .iter()
            .map(|p| {
                p.and_then(|v| v.into_datum())
                    .unwrap_or(pg_sys::Datum::from(0))
            })
            .collect();
        assert_eq!(
            pg_sys::SPI_connect(),
            pg_sys::SPI_OK_CONNECT as i32,
            "SPI_connect works"
        );
        let rc = pg_sys::SPI_execute_plan(
            plan(sql, parameters.len()),
            values.as_mut_ptr(),
            nulls.as_ptr().cast(),
            read_only,
            0,
        );
        assert!(rc > 0, "SPI refused {sql:?} with code {rc}");
        let processed = pg_sys::SPI_processed;
        let rows = if pg_sys::SPI_tuptable.is_null() {
            Vec::new()
        } else {
            rows(&*pg_sys::SPI_tuptable)
        };
        pg_sys::SPI_finish();
        (rows, processed)
    }
}

/// After so many uses a statement is planned anew: the tables may have grown.
const MOST_USES: u32 = 200;

struct Prepared {
    plan: pg_sys::SPIPlanPtr,
    uses: u32,
}

thread_local! {
    /// Of this process; the server itself notices when what they are about changes.
    static PREPARED: RefCell<HashMap<&'static str, Prepared>> = RefCell::default();
}

/// The statement's plan, valid until the next call for the same statement.
///
/// SAFETY: inside SPI_connect; each statement always with the same number of parameters.
unsafe fn plan(sql: &'static str, parameters: usize) -> pg_sys::SPIPlanPtr {
    let known = PREPARED.with_borrow_mut(|prepared| {
        let known = prepared.get_mut(sql)?;
        known.uses += 1;
        if known.uses <= MOST_USES {
            return Some(known.plan);
        }
        let worn = prepared.remove(sql)?;
        // SAFETY: kept by SPI_keepplan, and nobody executes it: statements do not call themselves.
        unsafe { pg_sys::SPI_freeplan(worn.plan) };
        None
    });
    if let Some(plan) = known {
        return plan;
    }
    let text = CString::new(sql).expect("SQL contains no NUL byte");
    let mut types = vec![pg_sys::TEXTOID; parameters];
    // SAFETY: the text and the types live through the call; SPI_keepplan makes the plan outlive SPI_finish.
    let plan = unsafe {
        let plan = pg_sys::SPI_prepare(text.as_ptr(), parameters as i32, types.as_mut_ptr());
        assert!(!plan.is_null(), "SPI cannot prepare {sql:?}");
        assert_eq!(pg_sys::SPI_keepplan(plan), 0, "SPI_keepplan works");
        plan
    };
    PREPARED.with_borrow_mut(|prepared| prepared.insert(sql, Prepared { plan, uses: 1 }));
    plan
}

/// SAFETY: `table` is the current SPI result.
unsafe fn rows(table: &pg_sys::SPITupleTable) -> Vec<Row> {
    // SAFETY: SPI keeps the descriptor and the tuples alive until SPI_finish; SPI_fname and SPI_getvalue return palloc'd C
    // strings (the latter null for NULL) in the SPI context, freed with it.
    unsafe {
        let width = (*table.tupdesc).natts;
        let names: Rc<[String]> = (1..=width)
            .map(|i| owned(pg_sys::SPI_fname(table.tupdesc, i)).unwrap_or_default())
            .collect();
        (0..table.numvals as usize)
            .map(|at| {
                let tuple = *table.vals.add(at);
                let values = (1..=width)
                    .map(|i| owned(pg_sys::SPI_getvalue(tuple, table.tupdesc, i)))
                    .collect();
                Row::new(names.clone(), values)
            })
            .collect()
    }
}

/// SAFETY: null or a NUL-terminated string.
unsafe fn owned(text: *mut std::ffi::c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: the caller vouches for it.
    Some(
        unsafe { CStr::from_ptr(text) }
            .to_string_lossy()
            .into_owned(),
    )
}
