//! A schema at random, of keys and columns of all kinds, and statements at random for it: for [`super::Churn`].

use fastrand::Rng;

use crate::kinds::{KINDS, Kind};

/// Tables, and what may happen to them.
pub struct Workload {
    pub tables: String,
    pub statements: Vec<String>,
    pub truncates: Vec<String>,
}

struct Column {
    name: String,
    kind: &'static Kind,
}

impl Column {
    fn some(rng: &mut Rng, name: String, key: bool) -> Self {
        let fitting: Vec<&Kind> = KINDS
            .iter()
            .filter(|k| !key || k.key && k.values[2] != "null")
            .collect();
        Self {
            name,
            kind: fitting[rng.usize(..fitting.len())],
        }
    }

    fn value(&self, rng: &mut Rng, nullable: bool) -> String {
        if nullable && !self.kind.name.ends_with("deeper") && rng.u32(0..6) == 0 {
            return "null".into();
        }
        let plain = self.kind.name.split(" collate ").next().unwrap_or_default();
        format!("({})::{plain}", self.kind.values[rng.usize(0..3)])
    }
}

impl Workload {
    /// Needs the types of [`crate::kinds`].
    pub fn random(rng: &mut Rng, tables: usize) -> Self {
        let mut workload = Self {
            tables: String::new(),
            statements: Vec::new(),
            truncates: Vec::new(),
        };
        for at in 0..tables {
            workload.table(rng, at);
        }
        workload
    }

    fn table(&mut self, rng: &mut Rng, at: usize) {
        let table = format!("\"Load {at}\"");
        let keys: Vec<Column> = (0..rng.usize(0..3))
            .map(|i| Column::some(rng, format!("\"Key {i}\""), true))
            .collect();
        let values: Vec<Column> = (0..rng.usize(0..5))
            .map(|i| Column::some(rng, format!("v{i}"), false))
            .collect();
        let numbered = keys.is_empty() || rng.u32(0..3) > 0;
        let partitioned = numbered && rng.u32(0..4) == 0;
        let mut key: Vec<&str> = keys.iter().map(|c| c.name.as_str()).collect();
        if numbered {
            key.push("n");
        }
        rng.shuffle(&mut key);
        let mut columns: Vec<String> = keys
            .iter()
            .chain(&values)
            .map(|c| format!("{} {}", c.name, c.kind.name))
            .collect();
        columns.extend([
            "n int not null".into(),
            "spot int".into(),
            "pad text".into(),
        ]);
        rng.shuffle(&mut columns);
        let spot = match rng.u32(0..4) {
            _ if partitioned => "unique (spot, n)",
            0 => "unique (spot)",
            1 => "unique (spot) deferrable initially deferred",
            2 => "exclude using gist (int4range(spot, spot + 1) with &&)",
            _ => "check (spot <> 0)",
        };
        let by = if partitioned {
            " partition by range (n)"
        } else {
            ""
        };
        self.tables += &format!(
            "create table {table} ({}, primary key ({}), {spot}){by}; ",
            columns.join(", "),
            key.join(", ")
        );
        if partitioned {
            self.tables += &format!(
                "create table \"Load {at} low\" partition of {table} for values from (minvalue) to (100); \
                 create table \"Load {at} rest\" partition of {table} default; "
            );
        }
        let names: Vec<&str> = keys
            .iter()
            .chain(&values)
            .map(|c| c.name.as_str())
            .collect();
        let insert = |rng: &mut Rng| {
            let mut row: Vec<String> = keys.iter().map(|c| c.value(rng, false)).collect();
            row.extend(values.iter().map(|c| c.value(rng, true)));
            row.extend(["{n}".into(), "{n} + 1000 * {m}".into(), "'{x}'".into()]);
            let mut names = names.clone();
            names.extend(["n", "spot", "pad"]);
            format!(
                "insert into {table} ({}) values ({})",
                names.join(", "),
                row.join(", ")
            )
        };
        for what in ["nothing", "update set pad = excluded.pad || 'again'"].repeat(4) {
            let insert = insert(rng);
            let on = key.join(", ");
            self.statements
                .push(format!("{insert} on conflict ({on}) do {what}"));
        }
        self.statements.push(insert(rng));
        for column in &keys {
            for _ in 0..3 {
                let value = column.value(rng, false);
                self.statements.push(format!(
                    "update {table} set {} = {value} where n = {{n}}",
                    column.name
                ));
            }
        }
        for column in &values {
            for _ in 0..2 {
                let value = column.value(rng, true);
                self.statements.push(format!(
                    "update {table} set {} = {value} where n % 9 = {{m}} % 9",
                    column.name
                ));
            }
        }
        self.statements.extend([
            format!("update {table} set pad = '{{x}}' where n = {{n}}"),
            format!("update {table} set pad = repeat('{{x}}', {{n}} * 20) where n = {{m}}"),
            format!("update {table} set n = n + 50 - 100 * (n / 100) where n = {{n}}"),
            format!("delete from {table} where n = {{n}}"),
            format!("delete from {table} where n % 30 = {{m}} % 30"),
            // spots go from hand to hand
            format!(
                "with two as (select spot, row_number() over (order by spot) as i from {table} where n between {{n}} and {{n}} + 20 limit 2) \
                 update {table} set spot = - spot where spot in (select spot from two)"
            ),
            format!("update {table} set spot = - spot where n % 11 = {{m}} % 11"),
        ]);
        self.truncates.push(format!("truncate {table}"));
        self.truncates
            .push(format!("truncate {table}; {}", insert(rng)));
    }
}
