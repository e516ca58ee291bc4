//! Random histories of a fake world, checked after each step.
//!
//! The world spawns slowly or not at all, crashes, ignores signals, survives SIGKILL, leaves children behind, reports
//! late and twice; clients send every verb at any moment; timers ring late; the daemon dies and is restored.
//!
//! `PM2_RS_SIM_SEEDS` and `PM2_RS_SIM_STEPS` set the effort, `PM2_RS_SIM_SEED` plays and prints one history.

mod checks;
mod hands;
mod oracle;
mod random;
mod referee;
mod tally;
mod trouble;
mod world;

use world::World;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Names the history that failed.
struct OnPanic(u64);

impl Drop for OnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the history that failed: PM2_RS_SIM_SEED={}", self.0);
        }
    }
}

#[test]
fn no_history_breaks_an_invariant() {
    let steps = number("PM2_RS_SIM_STEPS", 2_000);
    let one = std::env::var("PM2_RS_SIM_SEED").ok().and_then(|text| text.parse().ok());
    let seeds = one.map_or(0..number("PM2_RS_SIM_SEEDS", 200), |seed: u64| seed..seed + 1);
    let mut total = tally::Tally::default();
    for seed in seeds {
        let _name = OnPanic(seed);
        let mut world = World::new(seed, one.is_some());
        for _ in 0..steps {
            world.step();
        }
        world.settle();
        total.add(&world.tally);
    }
    // A world in which nothing happens proves nothing.
    if one.is_none() && steps >= 2_000 {
        assert!(total.is_lively(), "{total:?}");
    }
}
