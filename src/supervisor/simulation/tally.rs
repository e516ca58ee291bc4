//! Counts what happened.

/// How much happened, to be sure that something did.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) spawns: u64,
    pub(super) failures: u64,
    pub(super) crashes: u64,
    pub(super) kills: u64,
    pub(super) survivors: u64,
    pub(super) swaps: u64,
    pub(super) daemons: u64,
    pub(super) replies: u64,
    pub(super) overlimits: u64,
}

impl Tally {
    pub(super) fn add(&mut self, other: &Tally) {
        self.spawns += other.spawns;
        self.failures += other.failures;
        self.crashes += other.crashes;
        self.kills += other.kills;
        self.survivors += other.survivors;
        self.swaps += other.swaps;
        self.daemons += other.daemons;
        self.replies += other.replies;
        self.overlimits += other.overlimits;
    }

    pub(super) fn is_lively(&self) -> bool {
        let Tally { spawns, failures, crashes, kills, survivors, swaps, daemons, replies, overlimits } = self;
        [spawns, failures, crashes, kills, survivors, swaps, daemons, replies, overlimits].iter().all(|n| **n > 5)
    }
}
