//! COPY: bytes from one connection into another, unparsed.

use std::ffi::c_char;

use pq_sys::ExecStatusType;

use super::Connection;
use super::connection::{Answer, affected, rows, status};
use crate::failure::Failure;
use crate::pg::latch;
use crate::row::Row;

/// What went through.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flow {
    pub rows: u64,
    pub bytes: u64,
}

/// Rows are handed on in blocks of about this size: one message and one system call instead of many. Larger rows are handed
/// on in pieces, for the sake of libpq's buffer.
pub(super) const BLOCK: usize = 64 << 10;

/// Carries the rows of the COPY TO STDOUT that `from` is in ([`Connection::copy_out`]) into `in_sql` (a COPY FROM STDIN) on
/// `to`; `progress` is told now and then what went through so far. After an `Err` both connections may be in the middle of
/// a COPY: drop them, which rolls back both transactions.
pub fn pump(
    from: &mut Connection,
    to: &mut Connection,
    in_sql: &str,
    mut progress: impl FnMut(Flow) -> Result<(), Failure>,
) -> Result<Flow, Failure> {
    to.begin_copy_in(in_sql)?;
    let first = from.next_row()?;
    carry(first, from, to, &mut progress)
}

/// As [`pump`], with statements for `to` that make what is copied into. `None` if there are no rows: then `to` is asked nothing.
pub fn pump_any(
    from: &mut Connection,
    to: &mut Connection,
    make: &str,
    in_sql: &str,
) -> Result<Option<Flow>, Failure> {
    let Some(first) = from.next_row()? else {
        return Ok(None);
    };
    to.batch(make)?;
    to.begin_copy_in(in_sql)?;
    carry(Some(first), from, to, &mut |_| Ok(())).map(Some)
}

fn carry(
    first: Option<Piece>,
    from: &mut Connection,
    to: &mut Connection,
    progress: &mut impl FnMut(Flow) -> Result<(), Failure>,
) -> Result<Flow, Failure> {
    let mut flow = Flow::default();
    let mut block = Vec::with_capacity(2 * BLOCK);
    let mut next = first;
    while let Some(row) = next {
        flow.rows += 1;
        flow.bytes += row.len() as u64;
        if row.len() < BLOCK {
            block.extend_from_slice(row.bytes());
        } else {
            to.put(&block)?;
            block.clear();
            for piece in row.bytes().chunks(BLOCK) {
                to.put(piece)?;
            }
            progress(flow)?;
        }
        if block.len() >= BLOCK {
            to.put(&block)?;
            block.clear();
            latch::check_for_interrupts();
            progress(flow)?;
        }
        // not two of them in memory
        drop(row);
        next = from.next_row()?;
    }
    to.put(&block)?;
    progress(flow)?;
    // not the count of rows that came: in binary format there is a header among them
    flow.rows = to.end_copy_in()?;
    Ok(flow)
}

/// One row, freed when dropped.
pub(super) struct Piece {
    data: *mut c_char,
    len: usize,
}

impl Piece {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: libpq allocated `len` bytes at `data`, ours until the drop.
        unsafe { std::slice::from_raw_parts(self.data.cast(), self.len) }
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        // SAFETY: allocated by libpq, freed once.
        unsafe { pq_sys::PQfreemem(self.data.cast()) };
    }
}

impl Connection {
    /// Sends a list of statements and takes their results up to the first COPY TO STDOUT in it; the rows of the last query
    /// before that. Everything in one round trip; what comes after the COPY is taken by [`Self::copy_next`] and
    /// [`Self::list_done`].
    pub fn copy_out(&mut self, sql: &str) -> Result<Vec<Row>, Failure> {
        self.send(sql, None)?;
        self.until_copy()
    }

    /// The next COPY TO STDOUT of the list, after the one before was pumped to its end.
    pub fn copy_next(&mut self) -> Result<(), Failure> {
        self.until_copy().map(drop)
    }

    /// The end of the list, after its last COPY was pumped to its end and the rows of its queries were taken.
    pub fn list_done(&mut self) -> Result<(), Failure> {
        while let Some(answer) = self.next_answer()? {
            if status(&answer) != ExecStatusType::PGRES_COMMAND_OK {
                return Err(self.failed(&answer));
            }
        }
        Ok(())
    }

    /// Sends a list of statements, in one round trip. Their results are to be taken one by one, in their order: the rows of each
    /// query by [`Self::rows_next`], each COPY TO STDOUT by [`Self::copy_next`] and [`pump`], the end by [`Self::list_done`].
    /// The first that fails ends the list; it is told where its result was to be taken.
    pub fn send_list(&mut self, sql: &str) -> Result<(), Failure> {
        self.send(sql, None)
    }

    /// The rows of the list's next query.
    pub fn rows_next(&mut self) -> Result<Vec<Row>, Failure> {
        while let Some(answer) = self.next_answer()? {
            match status(&answer) {
                ExecStatusType::PGRES_TUPLES_OK => return Ok(rows(&answer)),
                ExecStatusType::PGRES_COMMAND_OK => {}
                _ => return Err(self.failed(&answer)),
            }
        }
        Err(
            Failure::new("XX000", "a list of statements ended before its results")
                .at(self.origin()),
        )
    }

    /// After a failure nothing more comes.
    pub(super) fn failed(&mut self, answer: &Answer) -> Failure {
        let failure = self.failure_of(answer);
        while matches!(self.next_answer(), Ok(Some(_))) {}
        failure
    }

    fn until_copy(&mut self) -> Result<Vec<Row>, Failure> {
        let mut found = Vec::new();
        while let Some(answer) = self.next_answer()? {
            match status(&answer) {
                ExecStatusType::PGRES_COPY_OUT => return Ok(found),
                ExecStatusType::PGRES_TUPLES_OK => found = rows(&answer),
                ExecStatusType::PGRES_COMMAND_OK => {}
                _ => return Err(self.failed(&answer)),
            }
        }
        Err(Failure::new("XX000", "a COPY statement did not start a COPY").at(self.origin()))
    }

    /// Begins a COPY FROM STDIN, for [`super::Early::hand_on`] and [`Self::end_copy_in`].
    pub fn begin_copy_in(&mut self, sql: &str) -> Result<(), Failure> {
        self.send(sql, None)?;
        let answer = self.last_answer()?;
        if status(&answer) == ExecStatusType::PGRES_COPY_IN {
            return Ok(());
        }
        Err(Failure::new("XX000", "a COPY statement did not start a COPY").at(self.origin()))
    }

    /// The next row of a COPY TO STDOUT, `None` after the last.
    fn next_row(&mut self) -> Result<Option<Piece>, Failure> {
        // waiting costs several system calls: first see whether something is there already
        loop {
            match self.piece_came()? {
                Some(Some(row)) => return Ok(Some(row)),
                Some(None) => return self.end_copy_out().map(|()| None),
                None => self.wait_once(false)?,
            }
        }
    }

    /// The next row among what was taken in: `None` if it is not there, `Some(None)` after the last.
    pub(super) fn piece(&mut self) -> Result<Option<Option<Piece>>, Failure> {
        let mut data: *mut c_char = std::ptr::null_mut();
        // SAFETY: asynchronous mode, `data` receives null or an allocation that becomes ours.
        let n = unsafe { pq_sys::PQgetCopyData(self.raw.ptr(), &raw mut data, 1) };
        match n {
            1.. => Ok(Some(Some(Piece {
                data,
                len: n as usize,
            }))),
            0 => Ok(None),
            -1 => Ok(Some(None)),
            _ => Err(self.last_answer().err().unwrap_or_else(|| self.lost())),
        }
    }

    /// The result of the COPY TO STDOUT itself; an error in the middle of it shows up here.
    fn end_copy_out(&mut self) -> Result<(), Failure> {
        let Some(answer) = self.next_answer()? else {
            return Err(self.lost());
        };
        if status(&answer) == ExecStatusType::PGRES_COMMAND_OK {
            return Ok(());
        }
        Err(self.failed(&answer))
    }

    /// Sends bytes of a COPY FROM STDIN and waits until libpq's buffer is empty again. An error of the server shows up here
    /// or in `end_copy_in`.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if bytes.is_empty() {
            return Ok(());
        }
        let len = i32::try_from(bytes.len()).expect("a block is much smaller than 2 GB");
        loop {
            // SAFETY: the bytes outlive the call, libpq copies them.
            match unsafe { pq_sys::PQputCopyData(self.raw.ptr(), bytes.as_ptr().cast(), len) } {
                1 => break,
                0 => self.flush()?,
                _ => return Err(self.last_answer().err().unwrap_or_else(|| self.lost())),
            }
        }
        self.flush()
    }

    /// Ends a COPY FROM STDIN; the rows the server took.
    pub fn end_copy_in(&mut self) -> Result<u64, Failure> {
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
