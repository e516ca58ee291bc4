//! Integration tests: one binary, a module for each subject.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test")]

mod daemon;
mod keeper;
mod layering;
mod wire_vectors;
