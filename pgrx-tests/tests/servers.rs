//! All tests that need servers, one module per topic, each in the file its path names.

#[path = "175_add_table.rs"]
mod add_table;
#[path = "061_adversity.rs"]
mod adversity;
#[path = "030_bad_input.rs"]
mod bad_input;
#[path = "196_pgbouncer.rs"]
mod bouncer;
#[path = "060_capture.rs"]
mod capture;
#[path = "159_catching_up.rs"]
mod catching_up;
#[path = "050_changes.rs"]
mod changes;
#[path = "155_chunked_zoo.rs"]
mod chunked_zoo;
#[path = "151_chunks.rs"]
mod chunks;
#[path = "052_columns.rs"]
mod columns;
#[path = "020_control.rs"]
mod control;
#[path = "163_copy_bad_luck.rs"]
mod copy_bad_luck;
#[path = "167_copy_builds.rs"]
mod copy_builds;
#[path = "164_copy_cancelled.rs"]
mod copy_cancelled;
#[path = "161_copy_kindness.rs"]
mod copy_kindness;
#[path = "165_copy_pause.rs"]
mod copy_pause;
#[path = "160_copy_resume.rs"]
mod copy_resume;
#[path = "162_copy_rows.rs"]
mod copy_rows;
#[path = "157_copy_storm.rs"]
mod copy_storm;
#[path = "166_copy_told.rs"]
mod copy_told;
#[path = "154_cuts.rs"]
mod cuts;
#[path = "169_ddl.rs"]
mod ddl;
#[path = "171_ddl_trouble.rs"]
mod ddl_trouble;
#[path = "150_deferral.rs"]
mod deferral;
#[path = "130_disappearance.rs"]
mod disappearance;
#[path = "177_drift.rs"]
mod drift;
#[path = "190_fence.rs"]
mod fence;
#[path = "188_fence_barrier.rs"]
mod fence_barrier;
#[path = "189_fence_revoke.rs"]
mod fence_revoke;
#[path = "186_forwarding.rs"]
mod forwarding;
#[path = "000_harness.rs"]
mod harness;
#[path = "071_helper.rs"]
mod helper;
#[path = "032_import.rs"]
mod import;
#[path = "033_import_refused.rs"]
mod import_refused;
#[path = "156_key_kinds.rs"]
mod key_kinds;
#[path = "178_keyless.rs"]
mod keyless;
#[path = "179_keyless_trouble.rs"]
mod keyless_trouble;
#[path = "173_kinds.rs"]
mod kinds;
#[path = "184_lanes.rs"]
mod lanes;
#[path = "010_migration.rs"]
mod migration;
#[path = "120_network.rs"]
mod network;
#[path = "172_ordinary_role.rs"]
mod ordinary_role;
#[path = "051_partitions.rs"]
mod partitions;
#[path = "199_pendulum.rs"]
mod pendulum;
#[path = "140_random_kills.rs"]
mod random_kills;
#[path = "031_refusals.rs"]
mod refusals;
#[path = "194_report.rs"]
mod report;
#[path = "110_restarts.rs"]
mod restarts;
#[path = "152_resync.rs"]
mod resync;
#[path = "158_resync_refusals.rs"]
mod resync_refusals;
#[path = "198_reverse.rs"]
mod reverse;
#[path = "187_reverse_trouble.rs"]
mod reverse_trouble;
#[path = "153_rewrites.rs"]
mod rewrites;
#[path = "197_runbook.rs"]
mod runbook;
#[path = "090_security.rs"]
mod security;
#[path = "170_segments.rs"]
mod segments;
#[path = "193_sequences.rs"]
mod sequences;
#[path = "176_skip.rs"]
mod skip;
#[path = "040_status.rs"]
mod status;
#[path = "021_stop.rs"]
mod stop;
#[path = "041_stopped_tables.rs"]
mod stopped_tables;
#[path = "174_swaps.rs"]
mod swaps;
#[path = "191_switchover.rs"]
mod switchover;
#[path = "195_switchover_checksum.rs"]
mod switchover_checksum;
#[path = "192_switchover_trouble.rs"]
mod switchover_trouble;
#[path = "168_tables_out.rs"]
mod tables_out;
#[path = "070_topology.rs"]
mod topology;
#[path = "180_verify.rs"]
mod verify;
#[path = "181_verify_kinds.rs"]
mod verify_kinds;
#[path = "182_verify_schema.rs"]
mod verify_schema;
#[path = "183_verify_trouble.rs"]
mod verify_trouble;
#[path = "080_versions.rs"]
mod versions;
#[path = "100_workers.rs"]
mod workers;
