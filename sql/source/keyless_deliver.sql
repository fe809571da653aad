-- The rows of a partition as deltas, in the snapshot of a repeatable read transaction. PostgreSQL 11 or later.
-- {segment}: qualified name, the newest of the partitioned table; {positions}: quoted literal, its sequence; {partition}: qualified name; {member}: its oid.
insert into {segment}
select w.txid, w.position, {member}, 1, (rows_of.*)::text
from only {partition} rows_of, (select txid_current() as txid, nextval({positions}) as position) w;
