//! Source = target? Every table by rows and by a hash of its content, every sequence by its position.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::thread;

use decamp_tests::compare::{self, Content};
use decamp_tests::source::DATABASE;

use super::stage::{Stage, TARGET_DATABASE};
use decamp_tests::screen::{Screen, grouped};

/// What was moved.
pub struct Moved {
    pub tables: usize,
    pub rows: u64,
}

/// Compares and shows what was compared.
pub fn compare(screen: &Screen, stage: &Stage) -> Result<Moved, String> {
    let (source, target) = (&stage.pair.source, &stage.pair.target);
    let (in_source, in_target) = thread::scope(|scope| {
        let other = scope.spawn(|| compare::contents(target, TARGET_DATABASE));
        let own = compare::contents(source, DATABASE);
        (
            own,
            other.join().expect("the comparison can read the target"),
        )
    });
    let names: BTreeSet<&String> = in_source.keys().chain(in_target.keys()).collect();
    let mut rows = Vec::new();
    let mut unequal = Vec::new();
    for name in names {
        let sides = [in_source.get(name), in_target.get(name)];
        let equal = sides[0] == sides[1];
        if !equal {
            unequal.push(name.as_str());
        }
        rows.push(vec![
            name.clone(),
            count(sides[0]),
            count(sides[1]),
            digest(sides[0]),
            digest(sides[1]),
            if equal { "yes" } else { "NO" }.into(),
        ]);
    }
    screen.table(
        &[
            "table",
            "rows source",
            "target",
            "hash source",
            "target",
            "equal",
        ],
        &[1, 2],
        &rows,
    );
    if !unequal.is_empty() {
        let found = compare::differences(source, DATABASE, target, TARGET_DATABASE);
        let told: Vec<String> = found.iter().map(|found| format!("\n  {found}")).collect();
        return Err(format!(
            "source and target are not equal in {}{}",
            unequal.join(", "),
            told.concat()
        ));
    }
    if in_source.is_empty() {
        return Err("there is no table to compare".into());
    }
    compare::assert_sequences_not_behind(source, DATABASE, target, TARGET_DATABASE);
    screen.note("All equal. Every sequence of the target is where the source's is, or beyond.");
    Ok(Moved {
        tables: in_source.len(),
        rows: in_source.values().map(|content| content.rows).sum(),
    })
}

fn count(content: Option<&Content>) -> String {
    content.map_or("missing".into(), |content| grouped(content.rows))
}

/// A short form of the content's hash, for the eye; the comparison is of the hash itself.
fn digest(content: Option<&Content>) -> String {
    content.map_or("-".into(), |content| {
        let mut hasher = DefaultHasher::new();
        content.hash.hash(&mut hasher);
        format!("{:08x}", hasher.finish() & 0xffff_ffff)
    })
}
