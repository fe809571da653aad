-- The largest row of a chunk. PostgreSQL 10 or later.
-- {key}: its key as text; {stored}: bytes of a row, as cheaply as they can be told; {size}: bytes of a row, for the largest by
-- that measure; {member}: where it is; {condition}: WHERE clause or nothing.
-- Returns key, bytes, size (bytes for people).
select {key} as key, r.bytes, pg_size_pretty(r.bytes) as size
from (
    select t.*, ({size})::int8 as bytes
    from (
        select *
        from only {member}
        {condition}
        order by {stored} desc
        limit 20
    ) t
) r
order by r.bytes desc
limit 1
