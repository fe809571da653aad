//! In which format rows travel: binary where both servers are known to mean the same by it, text otherwise. Pure.

use crate::table::{Table, plain_type};

/// Whether the rows of `source` can be sent in binary format to `target`: every column has the same built-in type on both
/// sides, one whose binary form has not changed since PostgreSQL 10, and the reading server is not older than the writing one
/// (what it writes, infinite intervals for instance, an older one may take for something else).
pub fn is_binary(source: &Table, source_version: i32, target: &Table, target_version: i32) -> bool {
    target_version / 10_000 >= source_version / 10_000
        && source.stored().all(|column| {
            let kind = plain_type(&column.base_type);
            let same = target
                .column(&column.name)
                .is_some_and(|other| plain_type(&other.base_type) == kind);
            same && is_stable(kind.strip_suffix("[]").unwrap_or(&kind))
        })
}

/// `backend/utils/adt/*.c`, the functions named `..._send`: no oids of the server in it, nothing that depends on settings
/// other than the client encoding, which is the same on both connections.
fn is_stable(kind: &str) -> bool {
    matches!(
        kind,
        "boolean"
            | "smallint"
            | "integer"
            | "bigint"
            | "real"
            | "double precision"
            | "numeric"
            | "text"
            | "character varying"
            | "character"
            | "bytea"
            | "date"
            | "time without time zone"
            | "time with time zone"
            | "timestamp without time zone"
            | "timestamp with time zone"
            | "interval"
            | "uuid"
            | "json"
            | "jsonb"
            | "inet"
            | "cidr"
            | "macaddr"
            | "bit"
            | "bit varying"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Column;

    fn table(types: &[&str]) -> Table {
        let columns = types
            .iter()
            .enumerate()
            .map(|(i, kind)| Column {
                attnum: 1 + i as i64,
                name: format!("c{i}"),
                type_name: (*kind).into(),
                base_type: (*kind).into(),
                not_null: false,
                has_default: false,
                generated: false,
                identity_always: false,
            })
            .collect();
        Table {
            columns,
            ..Table::sample()
        }
    }

    fn goes(source: &str, target: &str) -> bool {
        is_binary(&table(&[source]), 150_000, &table(&[target]), 150_000)
    }

    #[test]
    fn built_in_types_that_are_the_same_on_both_sides() {
        for kind in [
            "integer",
            "numeric(10,2)",
            "timestamp(3) with time zone",
            "text[]",
            "character varying(20)[]",
            "interval day to second(3)",
            "jsonb",
        ] {
            assert!(goes(kind, kind), "{kind}");
        }
        assert!(
            goes("character varying(20)", "character varying"),
            "length is checked on arrival"
        );
    }

    #[test]
    fn others_travel_as_text() {
        for kind in [
            "public.mood",
            "regclass",
            "xml",
            "money",
            "tsvector",
            "public.mood[]",
            "\"char\"",
        ] {
            assert!(!goes(kind, kind), "{kind}");
        }
        assert!(!goes("integer", "bigint"), "binary input does not convert");
    }

    #[test]
    fn an_older_server_is_sent_text() {
        let t = table(&["interval"]);
        assert!(!is_binary(&t, 180_000, &t, 150_000));
        assert!(is_binary(&t, 100_000, &t, 180_000));
    }
}
