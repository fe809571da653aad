-- The segment of a table without a key: not keys of changed rows but the rows themselves. PostgreSQL 10 or later.
-- {segment}, {positions}: qualified names.
-- txid: of the writing transaction, to tell whether some snapshot saw it; position: what is written later has a greater one,
-- so that it is known what a TRUNCATE did away with; member: the table, or its partition, the row is of; sign: 1 the row came,
-- -1 it went; image: the row as text, columns in the order of that table, rendered with the settings of our own sessions. As
-- text, and not in columns of their own, it does not depend on the table: whatever becomes of its columns, the application's
-- writes do not fail.
create table if not exists {segment} (
    txid     bigint   not null,
    position bigint   not null,
    member   oid      not null,
    sign     smallint not null,
    image    text     not null
);

create sequence if not exists {positions};
