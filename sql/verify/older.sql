-- Whether a transaction from before a moment has left deltas of a table that are not replayed yet. PostgreSQL 10 or later.
-- {segments}: selects of xmin from the table's segments, joined by union all; {truncation}: our table of truncations;
-- {oid}: of the table; $1: the moment, as txid_snapshot_xmax tells it. A row has only the lower 32 bits of that.
-- Returns found. A transaction that was not committed at that moment may be among them: then a little more is waited for.
select exists (
    select 1
    from ({segments} union all select t.xmin from {truncation} t where t.relation = {oid}::oid) d(xmin)
    where (($1::int8 - d.xmin::text::int8) & 4294967295) between 1 and 2147483647
) as found
