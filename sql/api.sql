-- Rights and documentation of the public functions. Runs last at CREATE EXTENSION.

revoke all on function repl_check(text, text, text[], text[]) from public;
revoke all on function repl_start(text, text, text, text[], text[], int, boolean, boolean) from public;
revoke all on function repl_wait(text, text, interval) from public;
revoke all on function repl_pause(text, boolean) from public;
revoke all on function repl_resume(text) from public;
revoke all on function repl_stop(text, boolean, boolean) from public;
revoke all on function repl_resync(text, text) from public;
revoke all on function repl_remove_table(text, text) from public;
revoke all on function repl_ddl(text, text, interval) from public;
revoke all on function repl_skip(text, text, jsonb) from public;
revoke all on function repl_unskip(text, text, jsonb) from public;
revoke all on function repl_add_table(text, text) from public;
revoke all on function repl_alter(text, text, text, int) from public;
revoke all on function repl_forward_sequences(text, interval, interval) from public;
revoke all on function repl_settle_sequences(text) from public;
revoke all on function repl_report(text) from public;
grant execute on function repl_report(text) to pg_monitor;
alter function repl_report(text) set timezone = 'UTC';
alter function repl_report(text) set intervalstyle = 'postgres';
revoke all on function decamp.note_phase() from public;
revoke all on function repl_verify(text, text[], text, boolean) from public;
revoke all on function repl_fence(text, interval, boolean, text, text[]) from public;
revoke all on function repl_unfence(text, boolean) from public;
revoke all on function repl_switchover(text, interval, text, boolean, boolean) from public;

comment on function repl_check(text, text, text[], text[]) is
    'Looks whether a migration can work and changes nothing. source, target: connection strings (target null: this'
    ' database); tables, exclude: patterns as for \dt. Returns severity (ok, warning, error), subject, message, and fix:'
    ' SQL or a command to type. Superusers only.';
comment on function repl_start(text, text, text, text[], text[], int, boolean, boolean) is
    'Starts a migration and returns at once; background workers do the work. name: [a-z][a-z0-9_]{0,40}; source: connection'
    ' string; target: connection string, null: this database; tables, exclude: patterns such as public.* or "Mixed"."Case",'
    ' null: every user table; workers: how many copy, or replay long queues, side by side, 1 to 64; copy_schema: import missing'
    ' tables with pg_dump; copy_data: false takes the target''s rows as they are. Refuses with everything repl_check calls an error. Superusers only.';
comment on function repl_wait(text, text, interval) is
    'Waits until a subscription is ''copied'' (every table''s rows are on the target), ''streaming'' (every table ready) or'
    ' ''caught_up'' (all that was committed on the source before the call is visible on the target). Errors: 57014 after'
    ' timeout, 55000 when it cannot come true any more (paused, errored, no worker).';
comment on function repl_pause(text, boolean) is
    'Ends a subscription''s workers after the batch, chunks and index builds at hand. now: within a second; what is at hand is'
    ' given up and repeated later, nothing is lost. Changes keep being collected on the source. Errors: 55000 after'
    ' repl_switchover.';
comment on function repl_resume(text) is
    'Lets a subscription (null: all) go on: after repl_pause, after an error, after a server restart without preload.'
    ' Starts only what is missing; made for cron.schedule.';
comment on function repl_stop(text, boolean, boolean) is
    'Ends a subscription: workers, capture triggers and schema on the source, state here. The target''s data stays.'
    ' drop_source_objects: false leaves the source alone, for one that is gone for good. rebuild: indexes, constraints'
    ' and triggers that were taken off the target are put back first; false: their SQL is only told, as notices and in'
    ' repl_events. Not inside a transaction block. Errors: 55000 for one that has switched over while its way back works, which is'
    ' to be stopped first, 55006 while repl_fence or repl_switchover is under way, 55P03 when a table was locked for two minutes.';
comment on function repl_resync(text, text) is
    'Copies one table anew while the others stream: empties it on the target and fills it again. "table": schema.name, quoted'
    ' where SQL would need it. Also for a table that has stopped because changes of it were missed. Errors: 42P01 when the'
    ' subscription has no such table, 55000 before it has begun to copy, with copy_data => false, and while the source is fenced.';
comment on function repl_add_table(text, text) is
    'Takes one more table of the source in while the others go on: checked as by repl_start, imported if the target lacks it,'
    ' captured, copied, followed. "table": schema.name, quoted where SQL would need it. Errors: 42P01 when the source has no'
    ' such table, 42710 when the subscription has it already, 55000 before it has begun to copy, and what repl_check calls an'
    ' error.';
comment on function repl_remove_table(text, text) is
    'Takes one table out while the others go on: its capture is removed from the source; the target''s table and rows stay, and'
    ' what was taken off it for the copy is built, or its SQL is in repl_events. Also leaves out a table that came later, so that'
    ' repl_status tells of it no more. "table": schema.name, quoted where SQL would need it. Errors: 42P01 when the subscription has'
    ' no such table, 55000 for its last one and before it has begun to copy.';
comment on function repl_ddl(text, text, interval) is
    'Runs one statement that changes tables (ALTER TABLE, CREATE INDEX, CREATE TABLE, ...) on the target and on the source, at one'
    ' point: both or neither; capture follows. Names without a schema are looked for where the source''s sessions look for them.'
    ' timeout: how long locks may be in the way; the application''s writes queue behind us for a second at a time at most, and for'
    ' as long as the statement itself takes. A table that gets another key, or has none and gets other columns, is copied anew.'
    ' Errors: what either server says to the statement, 0A000 for one that changes rows, 25001 for one that cannot be run in a'
    ' transaction, 55P03 when locks were in the way until the timeout, 55000 for a table that is not replayed yet; nothing has been'
    ' changed on either side then. If it is interrupted after the target''s commit, repl_events says in a few seconds whether the'
    ' source has it too, and what to do. Not inside a transaction block. Superusers only.';
comment on function repl_skip(text, text, jsonb) is
    'Leaves one row out, from now on: what happens to it on the source is not replayed, and the target''s row stays as it is'
    ' (a TRUNCATE empties the table all the same). The table goes on if it had stopped. key: the key''s columns and their'
    ' values, such as {"id": 7}; values are strings, integers or booleans. Kept in repl_skipped for ever. Errors: 42P01 when'
    ' the subscription has no such table, 55000 before its rows are copied, 22023 for what is no key.';
comment on function repl_unskip(text, text, jsonb) is
    'Takes back repl_skip: the row is made as it is on the source now. repl_resync takes back all of its table. Errors: 42704'
    ' when the row is not left out.';
comment on function repl_alter(text, text, text, int) is
    'Changes connection strings or the number of copy workers (1 to 64) of a subscription, also while it runs; null leaves as it'
    ' is. Superusers only. Errors: 22023 for nothing to alter, 0A000 for a target other than this database if it was started with'
    ' that.';
comment on function repl_forward_sequences(text, interval, interval) is
    'For going over without stopping the writers: looks at every sequence of the source twice, sample apart, and sets the'
    ' target''s to where it will be after skip, at least 1000 values on (half of what is left, near its end), past the values'
    ' its column has, never backwards. Every writer must have left the source within skip. Takes no value from a sequence.'
    ' Returns sequence, source_value, rate (change of the value per second), target_before, target_after, problem, sqlstate'
    ' (01000: only to be known), hint. Errors: 55000 before the subscription has begun to copy.';
comment on function repl_settle_sequences(text) is
    'To be called when nobody writes on the source any more: sets every sequence of the target to where the source''s is, past'
    ' the values its column has, never backwards; one that cycles exactly. Returns sequence, source_value, target_before,'
    ' target_after, problem, sqlstate (01000: only to be known), hint. Errors: 55000 before the subscription has begun to copy.';
comment on function repl_report(text) is
    'One self-contained HTML page about a subscription, also one that repl_stop has ended: states over time, lag, backlog, what the'
    ' copy took, verification, events. Times are UTC. psql -XAtc "SELECT repl_report(''heroku'')" > report.html. Errors: 42704.';
comment on function repl_verify(text, text[], text, boolean) is
    'Compares both sides while both are written to; one row per table. tables: patterns, null: all of the subscription; mode:'
    ' checksum (all content), count (which rows there are), schema (definitions, also of sequences, views, functions and'
    ' extensions); repair: true puts the keys of rows that differ back in the queue, waits and compares again. equal is null'
    ' where it is not known, with the reason in note; a difference that is told is one. The result is kept in'
    ' repl_verifications. Reads from the source at pg_decamp.copy_rate_limit at most. Called again within an hour after it was'
    ' interrupted, it goes on with the tables that are left. Errors: 42704 unknown subscription, 42P01 unknown table, 22023'
    ' unknown mode, 55000 without tables.';
comment on function repl_fence(text, interval, boolean, text, text[]) is
    'Makes the source refuse writes to every captured table, by any role, TRUNCATE included, with SQLSTATE 25006; reading goes on,'
    ' no table is locked. Then waits for the transactions that had begun to write; how long that took is returned. timeout: for'
    ' that wait, 30 seconds; after it the fence is lowered and those transactions are named. terminate: ends them after a'
    ' moment. via: capture, or revoke: instead, the rights to write to all tables of schemas (null: those of the subscription''s'
    ' tables) are revoked from everybody our role may revoke them from, and given back by repl_unfence. Cancelling the call lowers'
    ' the fence. Not inside a transaction block. Errors: 57014 after timeout, 55000 while tables are not captured and after'
    ' repl_switchover, 55006 while another call is under way.';
comment on function repl_unfence(text, boolean) is
    'Lets the source take writes again, after repl_fence. force: also after repl_switchover, which is undone by it as long as'
    ' nothing was written to the target, and after the way back was stopped. Not inside a transaction block. Errors: 55000 after'
    ' repl_switchover without force or while a subscription leads back, 55006 while repl_fence or repl_switchover is under way.';
comment on function repl_switchover(text, interval, text, boolean, boolean) is
    'Goes over: checks, refreshes materialized views, counts rows, fences the source, waits for those who write, replays the rest,'
    ' sets sequences, counts what has changed, and ends the subscription as finished; the source stays fenced until repl_stop.'
    ' From then on subscription name_reverse replays what is written to the target into the source, and its switchover goes back.'
    ' Anything that goes wrong before the last step, or takes longer than max_downtime from the fence on, lowers the fence'
    ' and is raised as an error: then nothing has been changed, and it can be called again. So does cancelling the call. verify:'
    ' count, none, or checksum: before the fence the verification of repl_verify, kept in repl_verifications, which takes as long as'
    ' that; a table that differs ends the call there (55000). Behind the fence tables into which rows were replayed since are'
    ' compared again, the quickest first, as a fortieth of max_downtime allows; step verify names those that are left, and how'
    ' many rows of them were replayed since and are not compared. reverse: false leaves out the way back.'
    ' dry_run: all but the fence, and an estimate of how long writes would be'
    ' refused. Returns step, outcome (done, skipped), took, message; told as notices as they happen, and in repl_events. Not'
    ' inside a transaction block. Errors: 55000 when it is not ready, differs, or has switched over already, 57014 after max_downtime'
    ' or when cancelled, 55006 while another call is under way, 42710 when another subscription has the way back''s name.';
