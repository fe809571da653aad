//! A part of a segment that a batch takes. Pure.

/// What of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// anywhere
    Anywhere,
    /// from this page on
    From(i64),
    /// these pages, the last one not included
    Pages(i64, i64),
    /// the same where there are no scans of ctid ranges (before PostgreSQL 14)
    Between(i64, i64),
}

impl Place {
    /// The condition on the segment's rows.
    pub fn condition(&self) -> Option<String> {
        match self {
            Self::Anywhere => None,
            Self::From(page) => Some(format!("ctid >= '({page},0)'::tid")),
            Self::Pages(first, end) => Some(format!(
                "ctid >= '({first},0)'::tid and ctid < '({end},0)'::tid"
            )),
            // a page has at most as many rows as 28 bytes, the least that one takes, go into it
            Self::Between(first, end) => Some(format!(
                "ctid = any (array(select format('(%s,%s)', page, place)::tid from generate_series({first}, {}) as page, \
                 generate_series(1, current_setting('block_size')::int4 / 28) as place))",
                end - 1
            )),
        }
    }
}

/// The deltas that a batch takes from one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// of the segment
    pub oid: u32,
    /// qualified and quoted
    pub segment: String,
    pub place: Place,
    /// the most it takes
    pub limit: Option<u64>,
}

impl Part {
    /// The DELETE that takes it.
    pub fn take(&self, returning: &str) -> String {
        let segment = &self.segment;
        let place = self
            .place
            .condition()
            .map(|condition| format!(" where {condition}"))
            .unwrap_or_default();
        match self.limit {
            None => format!("delete from {segment}{place} returning {returning}"),
            Some(limit) => format!(
                "delete from {segment} where ctid = any (array(select ctid from {segment}{place} limit {limit})) \
                 returning {returning}"
            ),
        }
    }

    /// The SELECT that only reads it. By places, as `take` does it: the planner then expects few rows, and looks each key up.
    pub fn read(&self, columns: &str) -> String {
        let segment = &self.segment;
        let condition = self.place.condition().unwrap_or_else(|| "true".into());
        format!(
            "select {columns} from {segment} where ctid = any (array(select ctid from {segment} where {condition}))"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_taken_from_its_place_up_to_its_limit() {
        let mut part = Part {
            oid: 1,
            segment: "s".into(),
            place: Place::From(7),
            limit: Some(5),
        };
        assert_eq!(
            part.take("k1"),
            "delete from s where ctid = any (array(select ctid from s where ctid >= '(7,0)'::tid limit 5)) returning k1"
        );
        part.limit = None;
        part.place = Place::Anywhere;
        assert_eq!(part.take("k1, k2"), "delete from s returning k1, k2");
    }
}
