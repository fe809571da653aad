-- What the columns of some tables look like right now, in the transaction's snapshot: a changed value means that what is
-- known of the table is out of date. PostgreSQL 10 or later.
-- $1: oids of the tables.
-- Returns oid, fingerprint; a table that is gone has no row.
select a.attrelid::int8 as oid,
       md5(string_agg(concat_ws(',', a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull), ';'
                      order by a.attnum)) as fingerprint
from pg_catalog.pg_attribute a
where a.attrelid = any ($1::oid[]) and a.attnum > 0 and not a.attisdropped
group by a.attrelid
