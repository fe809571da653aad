//! One row of a result, as text, whichever way it came: from our own server by SPI or from the source or target by libpq.
//! Pure. Names and types are those of our own SQL files, so a missing column or an unreadable number is a broken
//! invariant, not a user's mistake.

use std::rc::Rc;

/// A result row. Values are Postgres text output; NULL is `None`.
#[derive(Clone, Debug)]
pub struct Row {
    names: Rc<[String]>,
    values: Vec<Option<String>>,
}

impl Row {
    pub fn new(names: Rc<[String]>, values: Vec<Option<String>>) -> Self {
        Self { names, values }
    }

    /// The value of a column, `None` when it is NULL.
    pub fn opt(&self, name: &str) -> Option<&str> {
        let at = self
            .names
            .iter()
            .position(|n| n == name)
            .unwrap_or_else(|| panic!("our SQL returns no column {name:?}"));
        self.values[at].as_deref()
    }

    /// The value of a column that our SQL never leaves NULL.
    pub fn text(&self, name: &str) -> &str {
        self.opt(name)
            .unwrap_or_else(|| panic!("our SQL returned NULL in column {name:?}"))
    }

    pub fn string(&self, name: &str) -> String {
        self.text(name).to_owned()
    }

    pub fn int(&self, name: &str) -> i64 {
        self.opt_int(name)
            .unwrap_or_else(|| panic!("our SQL returned NULL in column {name:?}"))
    }

    pub fn opt_int(&self, name: &str) -> Option<i64> {
        self.opt(name).map(|v| {
            v.parse()
                .unwrap_or_else(|_| panic!("our SQL returned no integer in column {name:?}"))
        })
    }

    pub fn oid(&self, name: &str) -> u32 {
        u32::try_from(self.int(name)).expect("an oid fits 32 bits")
    }

    pub fn flag(&self, name: &str) -> bool {
        self.text(name) == "t"
    }
}
