-- Deletes the deltas of partitions that are gone from a partitioned table, whose rows are gone with them. One statement, one
-- snapshot: a delta it sees is of a partition that it sees too. PostgreSQL 11 or later.
-- {segment}: qualified name; {root}: oid of the partitioned table.
with recursive family(oid) as (
    select {root}::oid
    union all
    select i.inhrelid from family f join pg_catalog.pg_inherits i on i.inhparent = f.oid
)
delete from {segment} d
where not exists (select from family f where f.oid = d.member)
