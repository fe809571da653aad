-- The largest row of a chunk, by what its columns take in memory. PostgreSQL 10 or later.
-- {key}: its key as text; {size}: bytes of a row; {member}: where it is; {condition}: WHERE clause or nothing.
-- Returns key, bytes, size (bytes for people).
select {key} as key, ({size})::int8 as bytes, pg_size_pretty(({size})::int8) as size
from only {member}
{condition}
order by {size} desc
limit 1
