//! The primary against what was recorded with real workers, against its rules, and against chance.

mod chance;
mod fairness;
mod recorded;
mod rules;
mod succession;
mod world;
