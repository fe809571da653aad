//! Settings that decide how values look as text. Pure.

use crate::table::plain_type;

/// In every session of ours; functions of ours on the source set the same. A value rendered with a writer's own settings would be
/// another image of the same row.
pub const ALL: [(&str, &str); 7] = [
    ("search_path", "pg_catalog"),
    ("datestyle", "ISO"),
    ("intervalstyle", "postgres"),
    ("timezone", "UTC"),
    ("extra_float_digits", "3"),
    ("bytea_output", "hex"),
    ("lc_monetary", "C"),
];

/// Those that matter to values of these types (as `format_type` names them with a search_path of pg_catalog): each costs a writer
/// a microsecond or two.
pub fn of<'a>(types: impl IntoIterator<Item = &'a str>) -> Vec<(&'static str, &'static str)> {
    let mut wanted: Vec<&str> = Vec::new();
    for name in types {
        match needed(name) {
            Some(needed) => wanted.extend(needed),
            None => return ALL.to_vec(),
        }
    }
    ALL.into_iter()
        .filter(|(name, _)| wanted.contains(name))
        .collect()
}

/// `None` for all that is not known to need less than everything.
fn needed(type_name: &str) -> Option<&'static [&'static str]> {
    Some(match plain_type(type_name).as_str() {
        "smallint"
        | "integer"
        | "bigint"
        | "numeric"
        | "boolean"
        | "oid"
        | "uuid"
        | "text"
        | "character varying"
        | "character"
        | "json"
        | "jsonb"
        | "inet"
        | "cidr"
        | "macaddr"
        | "bit"
        | "bit varying"
        | "time without time zone" => &[],
        "real" | "double precision" => &["extra_float_digits"],
        "bytea" => &["bytea_output"],
        "money" => &["lc_monetary"],
        "interval" => &["intervalstyle"],
        "date" | "timestamp without time zone" => &["datestyle"],
        "timestamp with time zone" => &["datestyle", "timezone"],
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(types: &[&str]) -> Vec<&'static str> {
        of(types.iter().copied())
            .iter()
            .map(|(name, _)| *name)
            .collect()
    }

    #[test]
    fn no_more_than_needed() {
        assert!(names(&["integer", "character(22)", "numeric(10,2)"]).is_empty());
        let history = ["integer", "timestamp without time zone", "character(22)"];
        assert_eq!(names(&history), ["datestyle"]);
        assert_eq!(
            names(&["timestamp(3) with time zone", "double precision"]),
            ["datestyle", "timezone", "extra_float_digits"]
        );
    }

    #[test]
    fn everything_for_what_is_not_known() {
        let all = ALL.map(|(name, _)| name);
        for unknown in [
            "integer[]",
            "regclass",
            "public.date",
            "int4range",
            "point",
            "integer(1)[]",
        ] {
            assert_eq!(names(&["integer", unknown]), all, "{unknown}");
        }
    }
}
