//! Which tables go which lane. Pure.

/// Shares tables out among at most `most` lanes, so that each lane has about as many rows. There are no empty lanes.
/// `tables`: each with how many rows its deltas come to.
pub fn share_out(tables: &[(u32, u64)], most: usize) -> Vec<Vec<u32>> {
    let mut tables = tables.to_vec();
    tables.sort_by_key(|(oid, rows)| (u64::MAX - rows, *oid));
    let mut lanes: Vec<(u64, Vec<u32>)> = vec![(0, Vec::new()); most.min(tables.len())];
    for (oid, rows) in tables {
        if let Some((sum, lane)) = lanes.iter_mut().min_by_key(|(sum, _)| *sum) {
            *sum += rows.max(1);
            lane.push(oid);
        }
    }
    lanes.into_iter().map(|(_, lane)| lane).collect()
}

#[cfg(test)]
mod tests {
    use super::share_out;

    #[test]
    fn lanes_are_about_even() {
        let tables = [(1, 10), (2, 50), (3, 20), (4, 30), (5, 10)];
        assert_eq!(share_out(&tables, 2), [vec![2, 1], vec![4, 3, 5]]);
        assert_eq!(share_out(&tables, 1), [vec![2, 4, 3, 1, 5]]);
    }

    #[test]
    fn no_lane_is_empty() {
        assert_eq!(share_out(&[(7, 5)], 4), [vec![7]]);
        assert!(share_out(&[], 4).is_empty());
        assert_eq!(share_out(&[(1, 0), (2, 0)], 2), [vec![1], vec![2]]);
    }

    #[test]
    fn every_table_has_one_lane() {
        let tables: Vec<(u32, u64)> = (0..100).map(|i| (i, u64::from(i * 37 % 11))).collect();
        let mut all: Vec<u32> = share_out(&tables, 7).concat();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<u32>>());
    }
}
