//! SQL on our own server. Parameters are bound as text and cast in the SQL (`$1::int`); results come back as text rows.

use std::ffi::{CStr, CString};
use std::rc::Rc;

use pgrx::{IntoDatum, pg_sys};

use crate::row::Row;

/// Runs a query that only reads. It sees the snapshot of the calling statement or transaction and takes no transaction id.
pub fn read(sql: &str, parameters: &[Option<&str>]) -> Vec<Row> {
    execute(sql, parameters, true).0
}

/// Runs a query that only reads, on a snapshot taken now: inside a function that waits, this sees what others committed
/// meanwhile.
pub fn read_now(sql: &str, parameters: &[Option<&str>]) -> Vec<Row> {
    // SAFETY: pushes and pops in pairs; on ERROR the transaction's abort pops it.
    unsafe { pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot()) };
    let rows = read(sql, parameters);
    // SAFETY: the snapshot pushed above is the active one.
    unsafe { pg_sys::PopActiveSnapshot() };
    rows
}

/// Runs a statement that writes; rows of `RETURNING`.
pub fn write(sql: &str, parameters: &[Option<&str>]) -> Vec<Row> {
    execute(sql, parameters, false).0
}

/// Runs a statement that writes; how many rows it concerned.
pub fn update(sql: &str, parameters: &[Option<&str>]) -> u64 {
    execute(sql, parameters, false).1
}

fn execute(sql: &str, parameters: &[Option<&str>], read_only: bool) -> (Vec<Row>, u64) {
    let sql = CString::new(sql).expect("SQL contains no NUL byte");
    let mut types = vec![pg_sys::TEXTOID; parameters.len()];
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
        let rc = pg_sys::SPI_execute_with_args(
            sql.as_ptr(),
            parameters.len() as i32,
            types.as_mut_ptr(),
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
