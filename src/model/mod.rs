//! The words of the house: data that every room may use, and nothing else.
//!
//! Owns: ids, statuses, exits, signals, units, policies, the paths of a home, the clock reading.
//! Must never: do IO, read a clock, start a task, or use another room.

pub mod clock;
pub mod exit;
pub mod home;
pub mod id;
pub mod policy;
pub mod signal;
pub mod status;
pub mod units;

pub use clock::Now;
pub use exit::Exit;
pub use home::Home;
pub use id::{PmId, RunId};
pub use policy::Policy;
pub use signal::Signal;
pub use status::Status;
