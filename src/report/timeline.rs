//! The states a subscription was in, as a bar over time. Pure.

use std::fmt::Write;

use super::chart::{EDGES, across, time_axis};
use super::words;

/// A state and the time spent in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// of decamp.phase: one of our own words
    pub state: String,
    pub from: f64,
    pub to: f64,
}

/// A moment worth a mark.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Incident {
    pub at: f64,
    /// an error, not a warning
    pub grave: bool,
}

const WIDTH: f64 = 960.0;
const TOP: f64 = 14.0;
const BAR: f64 = 26.0;
const BOTTOM: f64 = TOP + BAR + 2.0;
const HEIGHT: f64 = BOTTOM + 26.0;

/// Each state from its beginning to that of the next, the last one until `end`. What follows `stopped` is no state.
pub fn phases(began: &[(f64, String)], end: f64) -> Vec<Phase> {
    let mut phases: Vec<Phase> = Vec::new();
    for (place, (from, state)) in began.iter().enumerate() {
        let to = began.get(place + 1).map_or(end, |next| next.0).max(*from);
        if state == "stopped" {
            continue;
        }
        match phases.last_mut() {
            Some(last) if last.state == *state => last.to = to,
            _ => phases.push(Phase {
                state: state.clone(),
                from: *from,
                to,
            }),
        }
    }
    phases
}

/// The bar, with errors and warnings above it.
pub fn draw(phases: &[Phase], incidents: &[Incident], from: f64, to: f64) -> String {
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"states over time\">"
    );
    for phase in phases {
        let (x, end) = (across(phase.from, from, to), across(phase.to, from, to));
        // never so thin that it cannot be seen
        let width = (end - x).max(1.5).min(EDGES.1 - x + 1.5);
        let _ = write!(
            svg,
            "<rect class=\"phase {0}\" x=\"{x:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{BAR}\"><title>{0}: {1}</title></rect>",
            phase.state,
            words::lasted(phase.to - phase.from)
        );
        if width > 9.0 * phase.state.len() as f64 {
            let _ = write!(
                svg,
                "<text class=\"inside {0}\" x=\"{1:.1}\" y=\"{2}\">{0}</text>",
                phase.state,
                x + width / 2.0,
                TOP + BAR / 2.0 + 4.0
            );
        }
    }
    let mut last = f64::MIN;
    let ordered = incidents.iter().filter(|i| i.grave);
    for incident in ordered.chain(incidents.iter().filter(|i| !i.grave)) {
        let x = across(incident.at, from, to);
        if (x - last).abs() < 0.5 {
            continue;
        }
        last = x;
        let (class, what) = if incident.grave {
            ("error", "error")
        } else {
            ("warning", "warning")
        };
        let _ = write!(
            svg,
            "<path class=\"mark {class}\" d=\"M{x:.1} {:.1}l-4 -7h8Z\"><title>{what} at {}</title></path>",
            TOP - 2.0,
            words::clock(incident.at)
        );
    }
    svg.push_str(&time_axis(from, to, BOTTOM));
    svg.push_str("</svg>");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    fn began(states: &[(f64, &str)]) -> Vec<(f64, String)> {
        states
            .iter()
            .map(|(at, state)| (*at, (*state).to_owned()))
            .collect()
    }

    #[test]
    fn each_until_the_next() {
        let began = began(&[
            (0.0, "starting"),
            (1.0, "copying"),
            (9.0, "paused"),
            (10.0, "copying"),
            (20.0, "stopped"),
        ]);
        let told: Vec<String> = phases(&began, 30.0)
            .iter()
            .map(|p| format!("{} {}-{}", p.state, p.from, p.to))
            .collect();
        assert_eq!(
            told,
            [
                "starting 0-1",
                "copying 1-9",
                "paused 9-10",
                "copying 10-20"
            ]
        );
    }

    #[test]
    fn a_state_entered_twice_is_one() {
        let phases = phases(&began(&[(0.0, "copying"), (2.0, "copying")]), 5.0);
        assert_eq!(phases.len(), 1);
        assert!((phases[0].to - 5.0).abs() < f64::EPSILON);
    }

    #[test]
    fn short_ones_are_seen() {
        let phases = phases(&began(&[(0.0, "importing"), (0.001, "streaming")]), 1e6);
        let svg = draw(
            &phases,
            &[Incident {
                at: 5.0,
                grave: true,
            }],
            0.0,
            1e6,
        );
        assert!(
            svg.contains("width=\"1.5\"") && svg.contains("mark error"),
            "{svg}"
        );
        assert!(svg.contains(">streaming</text>"));
    }
}
