//! Rights to write, taken away and given back exactly: in which order, and which of them cannot be had. Pure.
//!
//! A right that its holder has passed on can be revoked only after those that hang on it, and given back before them. Who may not
//! act as the grantor of one leaves it, and all that it hangs on.

/// One right as it was granted; names are quoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub table: String,
    pub column: Option<String>,
    pub privilege: String,
    pub grantable: bool,
    pub grantor: String,
    pub grantee: String,
    /// the grantor is the table's owner
    pub owned: bool,
    /// our role may act as the grantor
    pub ours: bool,
}

impl Grant {
    /// Whether this one could not be there, or not be revoked by its grantor, without the other. Who may grant a right on a
    /// table may grant it on its columns.
    fn hangs_on(&self, other: &Self) -> bool {
        !self.owned
            && other.grantable
            && self.grantor == other.grantee
            && self.table == other.table
            && self.privilege == other.privilege
            && (other.column.is_none() || self.column == other.column)
    }

    fn object(&self) -> String {
        match &self.column {
            Some(column) => format!("{} ({column}) on table {}", self.privilege, self.table),
            None => format!("{} on table {}", self.privilege, self.table),
        }
    }

    fn as_grantor(&self, statement: &str) -> String {
        if self.owned {
            // who owns the table, or may act as who does, revokes and grants as its owner
            format!("{statement};")
        } else {
            format!("set local role {}; {statement}; reset role;", self.grantor)
        }
    }

    pub fn revoke(&self) -> String {
        self.as_grantor(&format!("revoke {} from {}", self.object(), self.grantee))
    }

    pub fn give_back(&self) -> String {
        let option = if self.grantable {
            " with grant option"
        } else {
            ""
        };
        self.as_grantor(&format!(
            "grant {} to {}{option}",
            self.object(),
            self.grantee
        ))
    }

    pub fn in_words(&self) -> String {
        format!(
            "{} keeps {}, granted by {}",
            self.grantee,
            self.object(),
            self.grantor
        )
    }
}

/// Those that can be revoked, in that order (to be given back in the opposite one), and those that cannot.
pub fn plan(grants: Vec<Grant>) -> (Vec<Grant>, Vec<Grant>) {
    let mut kept: Vec<bool> = grants.iter().map(|g| !g.ours).collect();
    let depths: Vec<usize> = grants.iter().map(|g| depth(g, &grants, 0)).collect();
    // what the deeper ones keep in place is found from the bottom up
    let mut order: Vec<usize> = (0..grants.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(depths[*at]));
    for &at in &order {
        if !kept[at] {
            kept[at] =
                (0..grants.len()).any(|other| kept[other] && grants[other].hangs_on(&grants[at]));
        }
    }
    let (left, revoked): (Vec<usize>, Vec<usize>) = order.into_iter().partition(|at| kept[*at]);
    let pick = |places: Vec<usize>| places.into_iter().map(|at| grants[at].clone()).collect();
    (pick(revoked), pick(left))
}

fn depth(grant: &Grant, all: &[Grant], so_far: usize) -> usize {
    // the server allows no circles
    if so_far > all.len() {
        return so_far;
    }
    all.iter()
        .filter(|other| grant.hangs_on(other))
        .map(|other| 1 + depth(other, all, so_far + 1))
        .max()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(grantor: &str, grantee: &str, grantable: bool) -> Grant {
        Grant {
            table: "t".into(),
            column: None,
            privilege: "INSERT".into(),
            grantable,
            grantor: grantor.into(),
            grantee: grantee.into(),
            owned: grantor == "owner",
            ours: true,
        }
    }

    #[test]
    fn what_hangs_on_others_goes_first() {
        let all = vec![
            grant("owner", "a", true),
            grant("a", "b", true),
            grant("b", "c", false),
            grant("owner", "owner", true),
        ];
        let (revoked, left) = plan(all);
        assert!(left.is_empty());
        let order: Vec<&str> = revoked.iter().map(|g| g.grantee.as_str()).collect();
        assert_eq!(order, ["c", "b", "a", "owner"]);
        assert_eq!(
            revoked[0].revoke(),
            "set local role b; revoke INSERT on table t from c; reset role;"
        );
        assert_eq!(
            revoked[2].give_back(),
            "grant INSERT on table t to a with grant option;"
        );
    }

    #[test]
    fn a_column_hangs_on_its_table() {
        let mut column = grant("a", "b", false);
        column.column = Some("n".into());
        let (revoked, _) = plan(vec![grant("owner", "a", true), column]);
        assert_eq!(
            revoked[0].revoke(),
            "set local role a; revoke INSERT (n) on table t from b; reset role;"
        );
        assert_eq!(revoked[1].grantee, "a");
    }

    #[test]
    fn what_cannot_be_had_keeps_what_it_hangs_on() {
        let mut all = vec![
            grant("owner", "a", true),
            grant("a", "b", false),
            grant("owner", "d", false),
        ];
        all[1].ours = false;
        let (revoked, left) = plan(all);
        let grantees =
            |grants: &[Grant]| grants.iter().map(|g| g.grantee.clone()).collect::<Vec<_>>();
        assert_eq!(grantees(&revoked), ["d"]);
        assert_eq!(grantees(&left), ["b", "a"]);
    }
}
