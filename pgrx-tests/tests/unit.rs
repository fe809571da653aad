//! The unit tests of the extension's pure modules, which know nothing of PostgreSQL and so run without a server.

#![allow(dead_code, reason = "only what the tests call is used here")]

#[path = "../../src/chunk/plan.rs"]
mod chunk_plan;
#[path = "../../src/import/consequence.rs"]
mod consequence;
#[path = "../../src/libpq/discretion.rs"]
mod discretion;
#[path = "../../src/drift.rs"]
mod drift;
#[path = "../../src/import/extension.rs"]
mod extension;
#[path = "../../src/failure.rs"]
mod failure;
#[path = "../../src/chunk/format.rs"]
mod format;
#[path = "../../src/grant.rs"]
mod grant;
#[path = "../../src/replay/ladder.rs"]
mod ladder;
#[path = "../../src/meter.rs"]
mod meter;
#[path = "../../src/import/output.rs"]
mod output;
#[path = "../../src/replay/part.rs"]
mod part;
#[path = "../../src/pattern.rs"]
mod pattern;
#[path = "../../src/quote.rs"]
mod quote;
#[path = "../../src/import/reader.rs"]
mod reader;
#[path = "../../src/rendering.rs"]
mod rendering;
#[path = "../../src/report"]
mod report {
    mod chart;
    mod scale;
    mod timeline;
    mod words;
}
#[path = "../../src/retry.rs"]
mod retry;
#[path = "../../src/row.rs"]
mod row;
#[path = "../../src/import/script.rs"]
mod script;
#[path = "../../src/selection.rs"]
mod selection;
#[path = "../../src/replay/ahead/share.rs"]
mod share;
#[path = "../../src/import/statement.rs"]
mod statement;
#[path = "../../src/sequence"]
mod sequence {
    mod forecast;
    mod position;
}
#[path = "../../src/switchover.rs"]
mod switchover;
#[path = "../../src/table.rs"]
mod table;
#[path = "../../src/template.rs"]
mod template;
#[path = "../../src/throttle.rs"]
mod throttle;
#[path = "../../src/verify"]
mod verify {
    mod definition;
    mod image;
    mod outcome;
    mod shape;
    mod statement;
    mod suspect;
}
