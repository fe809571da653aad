//! Columns of every type, as keys and as values: alone, in arrays, domains, composites, and arrays of those.

/// A type and three of its values.
pub struct Kind {
    pub name: &'static str,
    pub values: [&'static str; 3],
    /// there is a unique index over it
    pub key: bool,
}

const fn kind(name: &'static str, values: [&'static str; 3]) -> Kind {
    Kind {
        name,
        values,
        key: true,
    }
}

const fn no_key(name: &'static str, values: [&'static str; 3]) -> Kind {
    Kind {
        name,
        values,
        key: false,
    }
}

/// What the kinds below are made of; for a superuser.
pub const TYPES: &str = "create schema \"Kinds\"; \
     create type \"Kinds\".\"Mood\" as enum ('sad', 'it''s', 'back\\slash', 'été'); \
     create type \"Kinds\".pair as (a int, \"B\" text); \
     create type \"Kinds\".nest as (pair \"Kinds\".pair, pairs \"Kinds\".pair[], mood \"Kinds\".\"Mood\"); \
     create domain \"Kinds\".positive as numeric check (value > 0); \
     create domain \"Kinds\".deeper as \"Kinds\".positive not null; \
     create domain \"Kinds\".short as varchar(20) collate \"C\"; \
     create type \"Kinds\".textrange as range (subtype = text, collation = \"C\"); \
     create collation \"Kinds\".blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false); \
     create collation \"Kinds\".german (provider = icu, locale = 'de'); \
     create domain \"Kinds\".blind_text as text collate \"Kinds\".blind;";

pub const KINDS: &[Kind] = &[
    kind("boolean", ["true", "false", "null"]),
    kind("smallint", ["-32768", "0", "32767"]),
    kind("int", ["-2147483648", "0", "2147483647"]),
    kind(
        "bigint",
        ["-9223372036854775808", "0", "9223372036854775807"],
    ),
    kind("real", ["'NaN'", "'-0'", "'1e-37'"]),
    kind("double precision", ["'-Infinity'", "'0.1'", "'1e-300'"]),
    kind("numeric", ["'NaN'", "'Infinity'", "'1.500'"]),
    kind(
        "numeric(30, 5)",
        ["'123456789012345678901234.12345'", "'-0.00001'", "0"],
    ),
    kind("money", ["'-12.34'", "'0'", "'92233720368547758.07'"]),
    kind(
        "text",
        ["''", "E'\\\\N'", "E'tab\\t\\r\\n\\\\. \"''ключ 🐘'"],
    ),
    kind(
        "text collate \"Kinds\".blind",
        ["'Straße'", "'OTHER'", "'Été'"],
    ),
    kind("text collate \"Kinds\".german", ["'ä'", "'z'", "''"]),
    kind("text collate \"C\"", ["'Z'", "'a'", "' '"]),
    kind("varchar(10)", ["'ten chars '", "''", "'x'"]),
    kind("char(8)", ["'a'", "''", "'eight ch'"]),
    kind("\"char\"", ["'x'", "''", "'\\'"]),
    kind("name", ["'a name'", "''", "'\"'"]),
    kind("bytea", ["''", "'\\x00ff5c27'", "'\\x5c6e'"]),
    kind(
        "uuid",
        [
            "'00000000-0000-0000-0000-000000000000'",
            "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
            "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'",
        ],
    ),
    kind("date", ["'infinity'", "'-infinity'", "'4713-01-01 BC'"]),
    kind("time", ["'00:00'", "'24:00'", "'12:34:56.789012'"]),
    kind(
        "timetz",
        ["'00:00+14'", "'24:00-14'", "'12:34:56.789012+05:30'"],
    ),
    kind(
        "timestamp",
        [
            "'infinity'",
            "'-infinity'",
            "'0044-03-15 12:00:00.000001 BC'",
        ],
    ),
    kind(
        "timestamptz",
        [
            "'infinity'",
            "'-infinity'",
            "'2024-10-27 02:30:00.123456+02'",
        ],
    ),
    kind(
        "timestamptz(0)",
        [
            "'2024-10-27 02:30:00+02'",
            "'2024-10-27 02:30:00+01'",
            "'epoch'",
        ],
    ),
    kind(
        "interval",
        [
            "'1 year -2 months +3 days -04:05:06.789'",
            "'00:00'",
            "'-1 mon 31 days'",
        ],
    ),
    kind(
        "interval day to second",
        ["'1 day 02:03:04.5'", "'0'", "'-3 days'"],
    ),
    kind("inet", ["'10.0.0.1/8'", "'::1'", "'10.0.0.1'"]),
    kind("cidr", ["'10.0.0.0/8'", "'::/0'", "'192.168.0.0/24'"]),
    kind(
        "macaddr",
        [
            "'08:00:2b:01:02:03'",
            "'00:00:00:00:00:00'",
            "'ff:ff:ff:ff:ff:ff'",
        ],
    ),
    kind(
        "macaddr8",
        [
            "'08:00:2b:01:02:03:04:05'",
            "'00:00:00:00:00:00:00:00'",
            "'ff:ff:ff:ff:ff:ff:ff:ff'",
        ],
    ),
    kind("bit(5)", ["'10101'", "'00000'", "'11111'"]),
    kind("bit varying", ["''", "'1'", "'0110100110010110'"]),
    kind("oid", ["0", "4294967295", "16384"]),
    kind("xid8", ["'0'", "'18446744073709551615'", "'7'"]),
    kind("pg_lsn", ["'0/0'", "'16/B374D848'", "'FFFFFFFF/FFFFFFFF'"]),
    kind("tid", ["'(0,1)'", "'(4294967295,65535)'", "'(7,7)'"]),
    kind("oidvector", ["'1 2 3'", "''", "'4294967295'"]),
    kind("tsvector", ["'a:1A fat:2B,4C ''quo te'':5'", "''", "'x'"]),
    kind("tsquery", ["'fat & (rat | !cat)'", "''", "'a <-> b'"]),
    kind(
        "jsonb",
        [
            "'null'",
            "'{\"b\": 1.00, \"a\": [\"\\\\\", \"\\u00e9\"]}'",
            "'\"text\"'",
        ],
    ),
    kind("int4range", ["'empty'", "'(,)'", "'[1,5)'"]),
    kind("numrange", ["'(1.50,2]'", "'[,0)'", "'empty'"]),
    kind(
        "tstzrange",
        [
            "'[2020-01-01 00:00+00,infinity)'",
            "'(,2020-01-01 00:00+00]'",
            "'empty'",
        ],
    ),
    kind(
        "\"Kinds\".textrange",
        ["'[\"a,b\",\"c\\\\\"\"\")'", "'(,)'", "'empty'"],
    ),
    kind("int4multirange", ["'{}'", "'{[1,3),[5,9)}'", "'{(,0)}'"]),
    kind(
        "datemultirange",
        [
            "'{}'",
            "'{[2020-01-01,2021-01-01),[2022-01-01,)}'",
            "'{(,)}'",
        ],
    ),
    kind("\"Kinds\".\"Mood\"", ["'sad'", "'it''s'", "'back\\slash'"]),
    kind(
        "\"Kinds\".pair",
        ["row(null, null)", "row(1, E'\"(),\\\\ ')", "row(-1, '')"],
    ),
    kind(
        "\"Kinds\".nest",
        [
            "row(row(1, 'x'), array[row(2, 'y')]::\"Kinds\".pair[], 'été')",
            "row(null, '{}', null)",
            "row(row(null, E'\\\\'), array[null, row(3, '{\"}')]::\"Kinds\".pair[], 'it''s')",
        ],
    ),
    kind("\"Kinds\".positive", ["0.0010", "1e30", "'NaN'"]),
    kind("\"Kinds\".deeper", ["0.0010", "1e30", "7"]),
    kind("\"Kinds\".short", ["''", "'é'", "E'\\\\N'"]),
    kind("\"Kinds\".blind_text", ["'Straße'", "'OTHER'", "'Été'"]),
    kind(
        "int[]",
        ["'{}'", "'{null,1}'", "'[0:1][-1:0]={{1,2},{3,null}}'"],
    ),
    kind(
        "text[]",
        ["'{}'", "'{null,\"null\",\"\",\"\\\"\\\\{\"}'", "'{a}'"],
    ),
    no_key(
        "json",
        ["'null'", "'{\"b\":1, \"a\" : 2.0, \"b\":3}'", "' [1]'"],
    ),
    no_key("xml", ["'<a b=\"c\">&amp;</a>'", "'text'", "'<x/>'"]),
    no_key(
        "jsonpath",
        ["'$.a[*] ? (@ > 1)'", "'strict $'", "'lax $.\"x\"'"],
    ),
    no_key("point", ["'(1.5,-0)'", "'(NaN,Infinity)'", "'(0,0)'"]),
    no_key("line", ["'{1,-1,0}'", "'{0,1,2.5}'", "'{1,0,1e-5}'"]),
    no_key(
        "lseg",
        ["'[(0,0),(1,1)]'", "'[(1,1),(0,0)]'", "'[(0,0),(0,0)]'"],
    ),
    no_key("box", ["'(1,1),(0,0)'", "'(0,0),(0,0)'", "'(5,5),(-5,-5)'"]),
    no_key("path", ["'[(0,0),(1,1)]'", "'((0,0),(1,1))'", "'((0,0))'"]),
    no_key(
        "polygon",
        ["'((0,0),(1,1),(1,0))'", "'((0,0))'", "'((1,1),(2,2))'"],
    ),
    no_key("circle", ["'<(0,0),2>'", "'<(1,1),0>'", "'<(0,0),1e10>'"]),
    no_key("xid", ["'0'", "'4294967295'", "'7'"]),
    no_key("cid", ["'0'", "'4294967295'", "'7'"]),
    no_key("int2vector", ["'1 2 3'", "''", "'-1'"]),
    no_key("txid_snapshot", ["'10:20:10,14'", "'1:1:'", "'5:9:'"]),
    no_key("pg_snapshot", ["'10:20:10,14'", "'1:1:'", "'5:9:'"]),
    no_key("regtype", ["'int'", "'text'", "'bool'"]),
    no_key("regclass", ["'pg_class'", "'pg_type'", "0::oid"]),
    no_key(
        "regproc",
        ["'pg_catalog.now'", "'pg_catalog.pi'", "'pg_catalog.random'"],
    ),
];

/// Types of extensions.
pub const EXTENSIONS: &[&str] = &["citext", "hstore", "ltree", "cube", "seg", "isn"];
pub const CONTRIB: &[Kind] = &[
    kind("citext", ["'Name'", "''", "'ÉTÉ'"]),
    kind(
        "hstore",
        ["''", "'a=>\"1\", \"quote\\\"\"=>NULL'", "'a=>2'"],
    ),
    kind("ltree", ["'Top.Science'", "''", "'a_b'"]),
    no_key("lquery", ["'*.a{1,2}'", "'Top.*'", "'!x'"]),
    kind("cube", ["'(0,0),(1,1)'", "'(1.5)'", "'(1,2,3)'"]),
    kind("seg", ["'1.5 .. 2.50'", "'~7'", "'1..'"]),
    kind(
        "isbn",
        [
            "'978-0-306-40615-7'",
            "'978-0-393-04002-9'",
            "'0-901690-54-6'",
        ],
    ),
];

/// The name of a column: now plain, now with case, quotes, of 63 bytes, or not ASCII.
fn column(at: usize, what: &str) -> String {
    match at % 5 {
        0 => format!("k_{what}"),
        1 => format!("\"K {what}\""),
        2 => format!("\"it's \"\"{what}\"\" \\\""),
        3 => format!("\"{what:é<35}\""),
        _ => format!("\"{what:_<63}\""),
    }
}

/// Tables for the kinds; `reversed`: with their columns in the opposite order.
pub fn tables(kinds: &[Kind], reversed: bool) -> String {
    let mut sql = String::new();
    for (at, kind) in kinds.iter().enumerate() {
        let plain = kind.name.split(" collate ").next().unwrap_or(kind.name);
        let not_null = kind.name.ends_with("deeper");
        sql.push_str(&format!(
            "create domain \"Kinds\".d{at} as {plain}; create type \"Kinds\".c{at} as (x {plain}, y {plain}[]); "
        ));
        let mut columns = vec![
            "id int primary key".to_owned(),
            format!("{} {}", column(at, "value"), kind.name),
            format!("{} {plain}[]", column(at, "list")),
            format!("domain \"Kinds\".d{at}"),
            format!("domains \"Kinds\".d{at}[]"),
            format!("composite \"Kinds\".c{at}"),
            format!("composites \"Kinds\".c{at}[]"),
            "twice text generated always as (beside || beside) stored".to_owned(),
            "beside text default 'beside'".to_owned(),
        ];
        if reversed {
            columns.reverse();
        }
        if not_null {
            // a composite's field cannot be left out
            columns.retain(|c| !c.contains("composite"));
        }
        sql.push_str(&format!(
            "create table value_{at} ({}); ",
            columns.join(", ")
        ));
        if !kind.key {
            continue;
        }
        let key = column(at, "key");
        let mut alone = [
            "n int".to_owned(),
            format!("{key} {} primary key", kind.name),
            "pad text default 'pad'".to_owned(),
        ];
        let mut among = [
            format!("{key} {}", kind.name),
            "pad text".to_owned(),
            "n int".to_owned(),
            "moved int generated by default as identity".to_owned(),
            "m smallint default 7".to_owned(),
        ];
        if reversed {
            alone.reverse();
            among.reverse();
        }
        sql.push_str(&format!(
            "create table alone_{at} ({}); create table among_{at} ({}, primary key (n, {key}, m)); ",
            alone.join(", "),
            among.join(", ")
        ));
    }
    sql
}

/// What happens to them, step by step, one transaction for each kind. The first step is for before the migration.
pub fn steps(kinds: &[Kind]) -> Vec<Vec<String>> {
    const STEPS: usize = 8;
    let mut all = vec![Vec::new(); STEPS];
    for (at, kind) in kinds.iter().enumerate() {
        let mut steps = vec![String::new(); STEPS];
        values(at, kind, &mut steps);
        if kind.key {
            keys(at, kind, &mut steps);
        }
        for (all, step) in all.iter_mut().zip(steps) {
            all.push(step);
        }
    }
    all
}

fn values(at: usize, kind: &Kind, steps: &mut [String]) {
    let plain = kind.name.split(" collate ").next().unwrap_or(kind.name);
    let not_null = kind.name.ends_with("deeper");
    // the elements of an array of arrays would have to be of one size
    let list = |values: &[String]| {
        if plain.ends_with("[]") {
            values[0].clone()
        } else {
            format!("array[{}]", values.join(", "))
        }
    };
    let row = |first: usize| {
        let value = |i: usize| format!("({})::{plain}", kind.values[(first + i) % 3]);
        let mut values = vec![
            (column(at, "value"), value(0)),
            (column(at, "list"), list(&[value(1), value(2)])),
            ("domain".to_owned(), value(2)),
            (
                "domains".to_owned(),
                format!("array[({})::\"Kinds\".d{at}]", value(0)),
            ),
        ];
        if !not_null {
            values.push((
                "composite".into(),
                format!("row({}, {})", value(1), list(&[value(0)])),
            ));
            values.push((
                "composites".into(),
                format!("array[null, row({}, null)]::\"Kinds\".c{at}[]", value(2)),
            ));
        }
        values
    };
    let insert = |id: usize, first: usize| {
        let (names, values): (Vec<_>, Vec<_>) = row(first).into_iter().unzip();
        format!(
            "insert into value_{at} (id, {}) values ({id}, {}); ",
            names.join(", "),
            values.join(", ")
        )
    };
    let update = |first: usize, condition: &str| {
        let set: Vec<String> = row(first)
            .iter()
            .map(|(name, value)| format!("{name} = {value}"))
            .collect();
        format!(
            "update value_{at} set {} where {condition}; ",
            set.join(", ")
        )
    };
    steps[0] += &format!("{}{}", insert(1, 0), insert(2, 1));
    steps[1] += &insert(3, 2);
    steps[2] += &update(1, "id = 1");
    steps[3] += &format!("update value_{at} set beside = 'changed' || id where id > 1; ");
    if !not_null {
        steps[4] += &format!(
            "update value_{at} set {} = null, domain = null, composites = '{{}}' where id = 2; ",
            column(at, "value")
        );
    }
    steps[5] += &format!("delete from value_{at} where id = 1; {}", insert(1, 2));
    steps[6] += &update(0, "true");
    steps[7] += &format!("truncate value_{at}; {}{}", insert(4, 1), insert(5, 2));
}

fn keys(at: usize, kind: &Kind, steps: &mut [String]) {
    let key = column(at, "key");
    let three = kind.values[2] != "null";
    for table in [format!("alone_{at}"), format!("among_{at}")] {
        let insert = |n: usize| {
            format!(
                "insert into {table} (n, {key}) values ({n}, {}); ",
                kind.values[n - 1]
            )
        };
        let rekey = |n: usize, to: usize| {
            format!(
                "update {table} set {key} = {} where n = {n}; ",
                kind.values[to - 1]
            )
        };
        steps[0] += &(insert(1) + &insert(2));
        if three {
            steps[1] += &insert(3);
            // 1 and 2 change places by way of the third value
            steps[3] += &format!(
                "delete from {table} where n = 3; {}{}{}",
                rekey(1, 3),
                rekey(2, 1),
                rekey(1, 2)
            );
            steps[5] += &(insert(3)
                + &format!("delete from {table} where n = 1; ")
                + &rekey(2, 2)
                + &insert(1));
        }
        steps[2] += &format!("update {table} set pad = 'changed'; ");
        steps[4] += &format!(
            "update {table} set {key} = {key}, n = n; update {table} set pad = null where n = 2; "
        );
        steps[6] += &format!("delete from {table}; {}", insert(2));
        steps[7] += &format!("truncate {table}; {}{}", insert(1), insert(2));
    }
}
