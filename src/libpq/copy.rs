//! COPY: bytes from one connection into another, unparsed, a row at a time as libpq hands them over.

use std::ffi::c_char;

use pq_sys::ExecStatusType;

use super::Connection;
use super::connection::{affected, status};
use crate::failure::Failure;

/// What went through.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flow {
    pub rows: u64,
    pub bytes: u64,
}

/// Runs `out_sql` (a COPY TO STDOUT) on `from` and `in_sql` (a COPY FROM STDIN) on `to` and carries the bytes over;
/// `progress` is told after each row. After an `Err` both connections may be in the middle of a COPY: drop them, which
/// rolls back both transactions.
pub fn pump(
    from: &mut Connection,
    out_sql: &str,
    to: &mut Connection,
    in_sql: &str,
    mut progress: impl FnMut(Flow),
) -> Result<Flow, Failure> {
    from.begin_copy(out_sql, ExecStatusType::PGRES_COPY_OUT)?;
    to.begin_copy(in_sql, ExecStatusType::PGRES_COPY_IN)?;
    let mut flow = Flow::default();
    let mut unflushed = 0;
    while let Some(row) = from.next_row()? {
        flow.rows += 1;
        flow.bytes += row.len() as u64;
        to.put(row.bytes(), &mut unflushed)?;
        progress(flow);
    }
    to.end_copy()?;
    Ok(flow)
}

/// One row, freed when dropped.
struct Chunk {
    data: *mut c_char,
    len: usize,
}

impl Chunk {
    fn len(&self) -> usize {
        self.len
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: libpq allocated `len` bytes at `data`, ours until the drop.
        unsafe { std::slice::from_raw_parts(self.data.cast(), self.len) }
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // SAFETY: allocated by libpq, freed once.
        unsafe { pq_sys::PQfreemem(self.data.cast()) };
    }
}

impl Connection {
    fn begin_copy(&mut self, sql: &str, wanted: ExecStatusType) -> Result<(), Failure> {
        self.send(sql, None)?;
        let answer = self.last_answer()?;
        if status(&answer) == wanted {
            return Ok(());
        }
        Err(Failure::new("XX000", "a COPY statement did not start a COPY").at(self.origin()))
    }

    /// The next row of a COPY TO STDOUT, `None` after the last.
    fn next_row(&mut self) -> Result<Option<Chunk>, Failure> {
        loop {
            let mut data: *mut c_char = std::ptr::null_mut();
            // SAFETY: asynchronous mode, `data` receives null or an allocation that becomes ours.
            let n = unsafe { pq_sys::PQgetCopyData(self.raw.ptr(), &raw mut data, 1) };
            match n {
                1.. => {
                    return Ok(Some(Chunk {
                        data,
                        len: n as usize,
                    }));
                }
                0 => self.wait_once(false)?,
                -1 => return self.last_answer().map(|_| None),
                _ => return Err(self.last_answer().err().unwrap_or_else(|| self.lost())),
            }
        }
    }

    /// Sends bytes of a COPY FROM STDIN. libpq sends full blocks by itself and keeps what the server does not take yet, so
    /// now and then we wait until it has. An error of the server shows up here or in `end_copy`.
    fn put(&mut self, bytes: &[u8], unflushed: &mut usize) -> Result<(), Failure> {
        const FLUSH_EVERY: usize = 64 << 10;
        let len = i32::try_from(bytes.len()).expect("libpq's own row length is an int");
        loop {
            // SAFETY: the bytes outlive the call, libpq copies them.
            match unsafe { pq_sys::PQputCopyData(self.raw.ptr(), bytes.as_ptr().cast(), len) } {
                1 => break,
                0 => self.flush()?,
                _ => return Err(self.last_answer().err().unwrap_or_else(|| self.lost())),
            }
        }
        *unflushed += bytes.len();
        if *unflushed >= FLUSH_EVERY {
            *unflushed = 0;
            self.flush()?;
        }
        Ok(())
    }

    /// Ends a COPY FROM STDIN; the rows the server took.
    fn end_copy(&mut self) -> Result<u64, Failure> {
        loop {
            // SAFETY: a live connection in COPY mode; null means success.
            match unsafe { pq_sys::PQputCopyEnd(self.raw.ptr(), std::ptr::null()) } {
                1 => break,
                0 => self.flush()?,
                _ => return Err(self.last_answer().err().unwrap_or_else(|| self.lost())),
            }
        }
        self.flush()?;
        self.last_answer().map(|answer| affected(&answer))
    }
}
