//! The SQL functions. Their arguments, errors and hints; what they set in motion is elsewhere. Comments and rights are in
//! `sql/api.sql`, the views in `sql/views.sql`.

mod add_table;
mod alter;
mod argument;
mod call;
mod check;
mod ddl;
mod fence;
mod pause;
mod remove_table;
mod report;
mod resync;
mod sequences;
mod skip;
mod start;
mod stop;
mod switchover;
mod verify;
mod wait;
