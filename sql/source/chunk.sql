-- Whether chunks are still what they were cut from, in the transaction's snapshot. PostgreSQL 10 or later.
-- {fingerprint}: fingerprint.sql for the tables of the chunks; {relations}, {members}: for each chunk the table and the
-- member (itself, or a partition) it is from, quoted array literals of oids.
-- Returns member, shape and layout (of the table, null: it is gone), filenode (of the member), belongs (it is still part of the
-- table), snapshot.
with recursive
chunk as (
    select distinct r.relation, r.member
    from rows from (unnest({relations}::oid[]), unnest({members}::oid[])) r(relation, member)
),
up(member, oid) as (
    select c.member, c.member from chunk c
    union all
    select u.member, i.inhparent from up u join pg_catalog.pg_inherits i on i.inhrelid = u.oid
),
print as ({fingerprint})
select c.member::int8 as member, p.shape, p.layout, pg_relation_filenode(c.member)::int8 as filenode,
       exists (select from up u where u.member = c.member and u.oid = c.relation) as belongs,
       txid_current_snapshot()::text as snapshot
from chunk c
left join print p on p.oid = c.relation::int8
