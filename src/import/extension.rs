//! Extensions of the source beside the target's. Pure.

use std::cmp::Ordering;

use crate::quote::ident;

#[derive(Clone, Debug)]
pub struct Extension {
    pub name: String,
    pub schema: String,
    pub version: String,
    /// tables whose columns, defaults or checks need it
    pub tables: Vec<String>,
}

/// What is not the same about an extension that both sides have.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference {
    /// what worked on the source may not work here
    pub serious: bool,
    pub message: String,
    /// SQL for the target
    pub fix: Option<String>,
}

/// `there`: the target's schema and version; or the version it would be created in.
pub fn differences(source: &Extension, schema: Option<&str>, version: &str) -> Vec<Difference> {
    let mut found = Vec::new();
    let name = ident(&source.name);
    if let Some(schema) = schema.filter(|schema| *schema != source.schema) {
        found.push(Difference {
            serious: true,
            message: format!(
                "it is in schema {schema} on the target and in {} on the source: tables that use it cannot be made",
                source.schema
            ),
            fix: Some(format!(
                "CREATE SCHEMA IF NOT EXISTS {schema}; ALTER EXTENSION {name} SET SCHEMA {schema};",
                schema = ident(&source.schema)
            )),
        });
    }
    if source.version != version {
        let serious = compare(version, &source.version) == Ordering::Less
            || leading(version) != leading(&source.version);
        found.push(Difference {
            serious,
            message: format!("version {} on the source, {version} on the target", source.version),
            fix: serious.then(|| {
                format!("ALTER EXTENSION {name} UPDATE; -- to the newest the server has; or see its release notes")
            }),
        });
    }
    found
}

/// By numbers, as far as there are numbers.
fn compare(a: &str, b: &str) -> Ordering {
    let numbers = |text: &str| -> Vec<u64> {
        text.split(|c: char| !c.is_ascii_digit())
            .filter_map(|part| part.parse().ok())
            .collect()
    };
    numbers(a).cmp(&numbers(b))
}

fn leading(version: &str) -> &str {
    version.split('.').next().unwrap_or_default()
}

/// The Debian package that brings an extension to a server of this major version, where we know one. What is in none of
/// these is a provider's own or has to be looked for.
pub fn package(extension: &str, major: i32) -> Option<String> {
    let of_its_own = match extension {
        "postgis"
        | "postgis_raster"
        | "postgis_topology"
        | "postgis_tiger_geocoder"
        | "postgis_sfcgal"
        | "address_standardizer"
        | "address_standardizer_data_us" => "postgis-3",
        "vector" => "pgvector",
        "pg_cron" => "cron",
        "pg_partman" => "partman",
        "pg_repack" => "repack",
        "pgrouting" | "rum" | "hll" | "ip4r" | "hypopg" | "pgaudit" | "pgtap" | "prefix"
        | "unit" | "semver" | "h3" | "orafce" | "periods" | "wal2json" | "similarity" => extension,
        "plperl" | "plperlu" | "bool_plperl" | "bool_plperlu" | "hstore_plperl"
        | "hstore_plperlu" | "jsonb_plperl" | "jsonb_plperlu" => {
            return Some(format!("postgresql-plperl-{major}"));
        }
        "plpython3u" | "hstore_plpython3u" | "jsonb_plpython3u" | "ltree_plpython3u" => {
            return Some(format!("postgresql-plpython3-{major}"));
        }
        "pltcl" | "pltclu" => return Some(format!("postgresql-pltcl-{major}")),
        _ if CONTRIB.contains(&extension) => return Some(format!("postgresql-{major}")),
        _ => return None,
    };
    Some(format!("postgresql-{major}-{of_its_own}"))
}

/// PostgreSQL documentation, Appendix F.
const CONTRIB: [&str; 40] = [
    "adminpack",
    "amcheck",
    "autoinc",
    "bloom",
    "btree_gin",
    "btree_gist",
    "citext",
    "cube",
    "dblink",
    "dict_int",
    "dict_xsyn",
    "earthdistance",
    "file_fdw",
    "fuzzystrmatch",
    "hstore",
    "insert_username",
    "intagg",
    "intarray",
    "isn",
    "lo",
    "ltree",
    "moddatetime",
    "pageinspect",
    "pg_buffercache",
    "pg_freespacemap",
    "pg_prewarm",
    "pg_stat_statements",
    "pg_trgm",
    "pg_visibility",
    "pgcrypto",
    "pgrowlocks",
    "pgstattuple",
    "postgres_fdw",
    "refint",
    "seg",
    "sslinfo",
    "tablefunc",
    "tcn",
    "unaccent",
    "uuid-ossp",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn extension(version: &str) -> Extension {
        Extension {
            name: "postgis".into(),
            schema: "heroku_ext".into(),
            version: version.into(),
            tables: Vec::new(),
        }
    }

    #[test]
    fn an_older_or_quite_another_version_is_serious() {
        let serious = |source, target| differences(&extension(source), None, target)[0].serious;
        assert!(serious("3.1.4", "2.5.5"));
        assert!(serious("2.5.5", "3.3.2"));
        assert!(serious("1.10", "1.9"), "by numbers, not by letters");
        assert!(!serious("1.9", "1.10"));
        assert!(!serious("3.1.4", "3.3.2"));
        assert_eq!(differences(&extension("1.0"), None, "1.0"), []);
    }

    #[test]
    fn another_schema_comes_with_the_sql_that_moves_it() {
        let found = differences(&extension("1.0"), Some("public"), "1.0");
        assert!(found[0].serious);
        let fix = found[0].fix.as_deref().expect("there is a way");
        assert!(
            fix.ends_with("ALTER EXTENSION \"postgis\" SET SCHEMA \"heroku_ext\";"),
            "{fix}"
        );
        assert_eq!(
            differences(&extension("1.0"), Some("heroku_ext"), "1.0"),
            []
        );
    }

    #[test]
    fn packages_are_those_of_debian() {
        assert_eq!(package("hstore", 15).as_deref(), Some("postgresql-15"));
        assert_eq!(
            package("postgis_topology", 16).as_deref(),
            Some("postgresql-16-postgis-3")
        );
        assert_eq!(
            package("plperl", 15).as_deref(),
            Some("postgresql-plperl-15")
        );
        assert_eq!(
            package("vector", 17).as_deref(),
            Some("postgresql-17-pgvector")
        );
        assert_eq!(package("aws_s3", 15), None);
    }
}
