//! Reads the tables and sequences of the source or target from its catalogs.

use std::collections::HashMap;

use crate::failure::Failure;
use crate::libpq::{Connection, Question};
use crate::quote::literal;
use crate::row::Row;
use crate::table::{Column, KeyColumn, Kind, Table};

const TABLES: &str = include_str!("../sql/source/tables.sql");
const COLUMNS: &str = include_str!("../sql/source/columns.sql");

/// Every user table with its columns and key, by schema and name.
pub fn tables(connection: &mut Connection) -> Result<Vec<Table>, Failure> {
    let [tables, columns] = connection.ask_all(&questions())?;
    Ok(tables_of(&tables, &columns, connection.version()))
}

/// What [`tables`] asks.
pub fn questions() -> [Question; 2] {
    [TABLES, COLUMNS].map(Question::new)
}

fn tables_of(rows: &[Row], columns: &[Row], version: i32) -> Vec<Table> {
    let mut tables: Vec<Table> = rows.iter().map(table).collect();
    let at: HashMap<u32, usize> = tables.iter().enumerate().map(|(i, t)| (t.oid, i)).collect();
    let mut keys: HashMap<u32, Vec<(i64, KeyColumn)>> = HashMap::new();
    for row in columns {
        let Some(&i) = at.get(&row.oid("oid")) else {
            continue;
        };
        tables[i].columns.push(column(row));
        if let Some(place) = row.opt_int("key_place") {
            tables[i].deferrable_key |= row.flag("deferrable");
            keys.entry(row.oid("oid")).or_default().push((
                place,
                KeyColumn {
                    name: row.string("name"),
                    equality: row.string("equality"),
                },
            ));
        }
    }
    for (oid, mut key) in keys {
        key.sort_by_key(|(position, _)| *position);
        tables[at[&oid]].key = key.into_iter().map(|(_, column)| column).collect();
    }
    if version < 110_000 {
        // partitioned tables of PostgreSQL 10 have neither keys nor row triggers: their partitions are taken one by one
        tables.retain(|t| t.kind != Kind::Partitioned);
        for table in &mut tables {
            table.inherits |= table.root.take().is_some();
        }
    }
    tables
}

/// What was captured without a key goes on without one.
pub fn forget_keys(tables: &mut [Table], keyless: &[u32]) {
    for table in tables.iter_mut().filter(|t| keyless.contains(&t.oid)) {
        table.key.clear();
        table.deferrable_key = false;
    }
}

/// Adds sizes and row estimates. Waits for whoever has a table locked exclusively.
pub fn measure(connection: &mut Connection, tables: &mut [Table]) -> Result<(), Failure> {
    for row in connection.query(include_str!("../sql/source/sizes.sql"), &[])? {
        let oid = row.oid("oid");
        if let Some(table) = tables.iter_mut().find(|t| t.oid == oid) {
            table.bytes = row.int("bytes");
            table.rows_estimate = row.int("rows_estimate");
        }
    }
    Ok(())
}

fn table(row: &Row) -> Table {
    Table {
        oid: row.oid("oid"),
        schema: row.string("schema"),
        name: row.string("name"),
        kind: match row.text("kind") {
            "p" => Kind::Partitioned,
            "f" => Kind::Foreign,
            _ => Kind::Ordinary,
        },
        unlogged: row.text("persistence") == "u",
        root: row
            .opt_int("root")
            .map(|oid| u32::try_from(oid).expect("an oid fits 32 bits")),
        inherits: row.flag("inherits"),
        owned: row.flag("owned"),
        owner: row.string("owner"),
        selectable: row.flag("selectable"),
        row_security: row.flag("row_security"),
        bytes: 0,
        rows_estimate: 0,
        columns: Vec::new(),
        primary_key: row.opt("primary_key").map(str::to_owned),
        key: Vec::new(),
        deferrable_key: false,
        update_rule: row.flag("update_rule"),
    }
}

fn column(row: &Row) -> Column {
    Column {
        attnum: row.int("attnum"),
        name: row.string("name"),
        type_name: row.string("type"),
        base_type: row.string("base_type"),
        not_null: row.flag("not_null"),
        has_default: row.flag("has_default"),
        generated: row.flag("generated"),
        identity_always: row.text("identity") == "a",
    }
}

/// The source's tables as they are known, and the fingerprints that tell when that is out of date.
pub struct Snapshot {
    pub tables: Vec<Table>,
    pub fingerprints: HashMap<u32, Fingerprint>,
    layouts: HashMap<u32, String>,
}

impl Snapshot {
    /// `oids`: the tables that will be looked at again; `keyless`: those whose key, should they have got one, is of no concern.
    /// Fingerprints are read first: a change in between is then noticed.
    pub fn read(
        connection: &mut Connection,
        oids: &[u32],
        keyless: &[u32],
    ) -> Result<Self, Failure> {
        let [fingerprints, tables, columns] = connection.ask_all(&Self::questions(oids))?;
        // a table without columns has no fingerprint
        let mut layouts: HashMap<u32, String> =
            oids.iter().map(|oid| (*oid, String::new())).collect();
        layouts.extend(
            fingerprints
                .iter()
                .map(|row| (row.oid("oid"), row.string("layout"))),
        );
        let fingerprints = fingerprints_of(&fingerprints);
        let mut tables = tables_of(&tables, &columns, connection.version());
        forget_keys(&mut tables, keyless);
        Ok(Self {
            tables,
            fingerprints,
            layouts,
        })
    }

    /// What [`Self::read`] asks.
    pub fn questions(oids: &[u32]) -> [Question; 3] {
        let [tables, columns] = questions();
        [fingerprint_question(oids), tables, columns]
    }

    pub fn table(&self, oid: u32) -> Result<&Table, Failure> {
        self.tables.iter().find(|t| t.oid == oid).ok_or_else(|| {
            Failure::new(
                "42P01",
                format!("table with oid {oid} is gone from the source"),
            )
            .hint("Drop it on the target too and start anew without it, or go on without it.")
        })
    }

    /// What changes when the text of a table's rows does, as `sql/source/fingerprint.sql` has it. Errors: 40001.
    pub fn layout(&self, oid: u32) -> Result<&str, Failure> {
        let layout = self.layouts.get(&oid).map(String::as_str);
        layout.ok_or_else(|| changed(&self.shown(oid)))
    }

    fn shown(&self, oid: u32) -> String {
        self.table(oid)
            .map_or_else(|_| oid.to_string(), Table::shown)
    }

    /// Errors: 40001 when one of `oids` is not what it was, as the open transaction sees it: passes by reading anew.
    pub fn refuse_changed(&self, connection: &mut Connection, oids: &[u32]) -> Result<(), Failure> {
        let now = connection.ask(&fingerprint_question(oids))?;
        self.refuse_others(&now, oids)
    }

    /// As `refuse_changed`, from the rows of [`fingerprint_statement`].
    pub fn refuse_others(&self, now: &[Row], oids: &[u32]) -> Result<(), Failure> {
        let now = fingerprints_of(now);
        oids.iter().try_for_each(|oid| {
            self.refuse_other_shape(*oid, now.get(oid).map(|print| print.shape.as_str()))
        })
    }

    /// Errors: 40001 when the table's shape, as just read, is not what is known here.
    pub fn refuse_other_shape(&self, oid: u32, now: Option<&str>) -> Result<(), Failure> {
        let known = self
            .fingerprints
            .get(&oid)
            .map(|print| print.shape.as_str());
        if now == known {
            return Ok(());
        }
        Err(changed(&self.shown(oid)))
    }
}

/// What a table looks like; `sql/source/fingerprint.sql` says what changes which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    pub shape: String,
    pub content: String,
}

/// The fingerprint of each table, as the open transaction sees it.
pub fn fingerprints(
    connection: &mut Connection,
    oids: &[u32],
) -> Result<HashMap<u32, Fingerprint>, Failure> {
    let rows = connection.query(&fingerprint_statement(oids), &[])?;
    Ok(fingerprints_of(&rows))
}

/// What [`Snapshot::refuse_changed`] asks.
pub fn fingerprint_question(oids: &[u32]) -> Question {
    Question::new(fingerprint_statement(oids))
}

/// The query of [`fingerprints`], to be sent in a list.
pub fn fingerprint_statement(oids: &[u32]) -> String {
    let oids: Vec<String> = oids.iter().map(u32::to_string).collect();
    include_str!("../sql/source/fingerprint.sql")
        .replace("$1", &literal(&crate::quote::array(&oids)))
}

fn fingerprints_of(rows: &[Row]) -> HashMap<u32, Fingerprint> {
    let fingerprint = |row: &Row| Fingerprint {
        shape: row.string("shape"),
        content: row.string("content"),
    };
    rows.iter()
        .map(|row| (row.oid("oid"), fingerprint(row)))
        .collect()
}

/// The failure of a table of the target that is not what it was when it was last looked at.
pub fn changed_on_target(table: &str) -> Failure {
    Failure::new("40001", format!("table {table} has changed on the target"))
        .hint("Looked at again by itself; see repl_tables if it then stops.")
}

/// The failure of a table that is not what it was when it was last looked at.
pub fn changed(table: &str) -> Failure {
    Failure::new("40001", format!("table {table} has changed on the source"))
        .hint("Looked at again by itself; see repl_tables if it then stops.")
}
