//! stub
use crate::catalog; use crate::libpq::*; use crate::selection::*; use crate::table::Table;
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Severity { Ok, Warning, Error }
impl Severity { pub fn as_str(self) -> &'static str { match self { Self::Ok => "ok", Self::Warning => "warning", Self::Error => "error" } } }
pub struct Finding { pub severity: Severity, pub subject: String, pub message: String, pub fix: Option<String>, pub sqlstate: &'static str }
pub struct Request<'a> { pub source: &'a Conninfo, pub target: &'a Conninfo, pub helper: bool, pub encoding: String, pub choice: &'a Choice, pub copy_schema: bool, pub copy_data: bool, pub workers: i32, pub name: Option<&'a str> }
pub struct Report { pub findings: Vec<Finding>, pub taken: Vec<Table> }
pub fn run(r: &Request) -> Report {
    let mut rep = Report { findings: vec![], taken: vec![] };
    match Connection::open(r.source, Role::Source, &r.encoding, "check").and_then(|mut c| catalog::tables(&mut c)) {
        Ok(t) => rep.taken = select(&t, r.choice).taken.into_iter().cloned().collect(),
        Err(f) => rep.findings.push(Finding { severity: Severity::Error, subject: "source".into(), message: f.line(), fix: f.hint, sqlstate: "08001" }),
    }
    rep
}
