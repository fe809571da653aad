//! A key whose rows looked different, and how it is found out whether they are. Pure.
//!
//! Both sides are looked at again and again, in this order: source, replay passes that moment, target, source. Correct
//! replay leaves on the target, at its look, what the source had at some moment from the first look to the second. So:
//! - the target has what the source was seen to have in that time: **equal**;
//! - the source's row did not change in that time (it is the same version of the row, or none) and the target has another:
//!   a strike. Two in a row, with the same version on the target: **different**;
//! - the source's row changed, and to what in between was not seen: nothing is known, **again**.

/// A row, as one look saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub hash: String,
    /// no two versions of a row have the same
    pub version: String,
}

/// `None`: no row with this key.
pub type Sight = Option<Seen>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Equal,
    Different,
    Again,
}

/// Where the rows with a key are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// not on the target
    Missing,
    /// only on the target
    Extra,
    /// not the same
    Changed,
}

impl Difference {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Extra => "extra",
            Self::Changed => "different",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Suspect {
    pub key: Vec<String>,
    /// hashes that the source had since the moment that replay is to pass
    history: Vec<Option<String>>,
    begin: Sight,
    target: Sight,
    strikes: u32,
}

const STRIKES: u32 = 2;

impl Suspect {
    pub fn new(key: Vec<String>) -> Self {
        Self {
            key,
            history: Vec::new(),
            begin: None,
            target: None,
            strikes: 0,
        }
    }

    /// The source is looked at; the moment that replay is to pass is not before this look.
    pub fn begin(&mut self, source: Sight) {
        self.history = vec![hash(&source)];
        self.begin = source;
    }

    /// The source is looked at in between.
    pub fn sample(&mut self, source: &Sight) {
        let hash = hash(source);
        if !self.history.contains(&hash) {
            self.history.push(hash);
        }
    }

    /// The target was looked at after replay passed the moment, then the source. The next look begins with that.
    pub fn judge(&mut self, target: Sight, source: Sight) -> Verdict {
        self.sample(&source);
        if self.history.contains(&hash(&target)) {
            return Verdict::Equal;
        }
        let at_rest = version(&self.begin) == version(&source);
        let again = self.strikes > 0 && version(&self.target) == version(&target);
        self.strikes = match (at_rest, again) {
            (true, true) => self.strikes + 1,
            (true, false) => 1,
            (false, _) => 0,
        };
        self.target = target;
        self.begin(source);
        if self.strikes >= STRIKES {
            Verdict::Different
        } else {
            Verdict::Again
        }
    }

    /// Of one that is different.
    pub fn difference(&self) -> Difference {
        match (&self.begin, &self.target) {
            (Some(_), None) => Difference::Missing,
            (None, _) => Difference::Extra,
            (Some(_), Some(_)) => Difference::Changed,
        }
    }
}

fn hash(sight: &Sight) -> Option<String> {
    sight.as_ref().map(|seen| seen.hash.clone())
}

fn version(sight: &Sight) -> Option<&str> {
    sight.as_ref().map(|seen| seen.version.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(hash: &str, version: &str) -> Sight {
        Some(Seen {
            hash: hash.into(),
            version: version.into(),
        })
    }

    fn suspect(source: Sight) -> Suspect {
        let mut suspect = Suspect::new(vec!["1".into()]);
        suspect.begin(source);
        suspect
    }

    #[test]
    fn a_row_that_replay_has_brought_is_equal() {
        let mut s = suspect(row("a", "1"));
        assert_eq!(s.judge(row("a", "t"), row("a", "1")), Verdict::Equal);
        let mut s = suspect(row("a", "1"));
        assert_eq!(s.judge(row("b", "t"), row("b", "2")), Verdict::Equal);
        let mut s = suspect(None);
        assert_eq!(s.judge(None, row("b", "2")), Verdict::Equal);
    }

    #[test]
    fn two_looks_at_rows_at_rest_make_a_difference() {
        for (source, target, what) in [
            (row("a", "1"), row("b", "t"), Difference::Changed),
            (row("a", "1"), None, Difference::Missing),
            (None, row("b", "t"), Difference::Extra),
        ] {
            let mut s = suspect(source.clone());
            assert_eq!(s.judge(target.clone(), source.clone()), Verdict::Again);
            assert_eq!(s.judge(target, source), Verdict::Different);
            assert_eq!(s.difference(), what);
        }
    }

    #[test]
    fn a_row_that_changes_is_looked_at_again() {
        let mut s = suspect(row("a", "1"));
        assert_eq!(s.judge(row("x", "t"), row("b", "2")), Verdict::Again);
        assert_eq!(s.judge(row("y", "u"), row("c", "3")), Verdict::Again);
        // at rest from here on
        assert_eq!(s.judge(row("c", "v"), row("c", "3")), Verdict::Equal);
    }

    #[test]
    fn a_change_back_and_forth_is_a_change() {
        let mut s = suspect(row("a", "1"));
        assert_eq!(s.judge(row("b", "t"), row("a", "3")), Verdict::Again);
        assert_eq!(s.judge(row("b", "t"), row("a", "5")), Verdict::Again);
    }

    #[test]
    fn what_the_source_was_seen_to_have_in_between_counts() {
        let mut s = suspect(row("a", "1"));
        s.sample(&row("b", "2"));
        assert_eq!(s.judge(row("b", "t"), row("c", "3")), Verdict::Equal);
    }

    #[test]
    fn what_the_source_had_before_does_not() {
        let mut s = suspect(row("a", "1"));
        assert_eq!(s.judge(row("x", "t"), row("b", "2")), Verdict::Again);
        // replay has passed "b", and the target went back to "a"
        assert_eq!(s.judge(row("a", "u"), row("b", "2")), Verdict::Again);
        assert_eq!(s.judge(row("a", "u"), row("b", "2")), Verdict::Different);
    }

    #[test]
    fn a_target_that_is_written_to_meanwhile_is_looked_at_again() {
        let mut s = suspect(None);
        assert_eq!(s.judge(row("a", "1"), None), Verdict::Again);
        assert_eq!(s.judge(row("a", "2"), None), Verdict::Again);
        assert_eq!(s.judge(row("a", "2"), None), Verdict::Different);
    }
}
