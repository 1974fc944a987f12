//! What became of passes, as lists.

use crate::engine::models::pass::{Pass, PassReport};

/// Why a pass is off that nobody wanted.
pub const NOT_ASKED: &str = "not asked for";

/// Into the order in which passes are applied.
pub fn sort<T>(items: &mut [T], pass: impl Fn(&T) -> Pass) {
    items.sort_by_key(|item| Pass::ORDER.iter().position(|p| *p == pass(item)));
}

/// The same reason for every pass that can be switched.
pub fn all_off(reason: &str) -> Vec<PassReport> {
    let off = |pass| PassReport {
        pass,
        off: Some(reason.to_owned()),
    };
    Pass::SWITCHED.map(off).to_vec()
}

/// With those that were not asked for, in order.
pub fn complete(mut passes: Vec<PassReport>) -> Vec<PassReport> {
    for report in all_off(NOT_ASKED) {
        if passes.iter().all(|other| other.pass != report.pass) {
            passes.push(report);
        }
    }
    sort(&mut passes, |report| report.pass);
    passes
}

/// A precision cannot be left out as other passes can: it was asked for by name.
pub fn is_failed_precision(report: &PassReport) -> bool {
    report.off.is_some() && !Pass::SWITCHED.contains(&report.pass)
}

/// Those that are on.
pub fn on(passes: &[PassReport]) -> Vec<Pass> {
    let on = passes.iter().filter(|report| report.off.is_none());
    on.map(|report| report.pass).collect()
}
