//! The daemon process: how it is started, which executable it is, and how long to wait after it died.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::Options;
use super::child::Image;
use super::fork;
use super::spawn::Spawner;
use crate::sys::{packet, pidfd, pipe};

/// Pause after the second death, in milliseconds; each further one doubles it. After the first there is none.
const FIRST_DELAY: u64 = 10;
/// The longest pause.
const LONGEST_DELAY: u64 = 5_000;
/// A daemon that lived this long was well.
const WELL_AFTER: u64 = 10_000;
/// So many deaths within [`WELL_AFTER`] are said to be a crash loop.
const LOOP_DEATHS: u32 = 5;
/// After so many the next daemon is started only when a client asks for one.
const LAST_DEATH: u32 = 8;

/// The daemon that runs.
#[derive(Debug)]
pub(super) struct Brain {
    pub(super) pid: i32,
    pub(super) pidfd: OwnedFd,
    /// Not our child: its end shows on the pidfd alone.
    pub(super) adopted: bool,
    /// Our end of the socketpair; `None` when the daemon has closed its end.
    pub(super) link: Option<OwnedFd>,
    /// Milliseconds since boot.
    pub(super) started: u64,
    pub(super) online: bool,
    /// It answers `Ping`.
    pub(super) answers: bool,
    /// It said that it ends on purpose, with this code.
    pub(super) quit: Option<i32>,
    /// It said that it cannot start.
    pub(super) failed: Option<String>,
    /// It said that another executable is to follow it.
    pub(super) successor: Option<Successor>,
}

/// What is to follow a daemon.
#[derive(Debug)]
pub(super) struct Successor {
    pub(super) executable: PathBuf,
    /// The script that goes with it; `None`: as before.
    pub(super) agent: Option<PathBuf>,
}

/// Starts `executable` (`None`: the one that runs now) as the daemon. Our own code need not be loaded again for it: the
/// daemon is forked off, which is sooner there and shares what the loader has written.
pub(super) fn start(
    options: &Options,
    executable: Option<&PathBuf>,
    spawner: &mut Spawner,
    now: u64,
) -> Result<Brain, String> {
    let name = executable.map_or("pm2d".into(), |path| path.display().to_string());
    let failed = |error: std::io::Error| format!("cannot start the daemon {name}: {error}");
    let (link, theirs) = packet::pair().map_err(failed)?;
    let null = pipe::null().map_err(failed)?;
    let (pid, pidfd) = if let (None, Some(play)) = (executable, options.daemon) {
        let oom_score = spawner.oom_score.as_deref();
        fork::start(&null, theirs, oom_score, |link| play(options.home.clone(), options.agent.clone(), link))
            .map_err(failed)?
    } else {
        let image = image(options, executable, spawner).map_err(|error| failed(error.into()))?;
        let (stdout, stderr) = (std::io::stdout(), std::io::stderr());
        let fds = [null.as_fd(), stdout.as_fd(), stderr.as_fd(), theirs.as_fd()];
        spawner.stack.start(&image, &fds).map_err(|failure| failed(failure.error))?
    };
    Ok(Brain {
        pid,
        pidfd,
        adopted: false,
        link: Some(link),
        started: now,
        online: false,
        answers: false,
        quit: None,
        failed: None,
        successor: None,
    })
}

/// The daemon at the other end of this socket, whose keeper was killed.
pub(super) fn adopt(link: OwnedFd, now: u64) -> std::io::Result<Brain> {
    // Of a socketpair these are the credentials of whoever made it, which is the daemon.
    let pid = nix::sys::socket::getsockopt(&link, nix::sys::socket::sockopt::PeerCredentials)?.pid();
    let pidfd = pidfd::open(pid)?;
    Ok(Brain {
        pid,
        pidfd,
        adopted: true,
        link: Some(link),
        started: now,
        online: true,
        answers: false,
        quit: None,
        failed: None,
        successor: None,
    })
}

fn image(options: &Options, executable: Option<&PathBuf>, spawner: &Spawner) -> Result<Image, std::ffi::NulError> {
    let text = |text: &[u8]| CString::new(text);
    // The link leads to what runs now also when the file was replaced or removed: the pair always matches.
    let program = executable.map_or(&b"/proc/self/exe"[..], |path| path.as_os_str().as_bytes());
    let mut argv = vec![text(b"pm2d")?, text(b"daemon")?, text(b"--home")?];
    argv.push(text(options.home.root.as_os_str().as_bytes())?);
    if let Some(agent) = &options.agent {
        argv.extend([text(b"--agent")?, text(agent.as_os_str().as_bytes())?]);
    }
    argv.extend([text(b"--keeper-fd")?, text(b"3")?]);
    let env = std::env::vars_os().map(|(name, value)| text(&[name.as_bytes(), b"=", value.as_bytes()].concat()));
    Ok(Image {
        program: text(program)?,
        argv,
        env: env.collect::<Result<_, _>>()?,
        oom_score: spawner.oom_score.clone(),
        ..Image::default()
    })
}

/// How long to wait before the next daemon.
#[derive(Debug, Default)]
pub(super) struct BackOff {
    deaths: u32,
    first_death: u64,
    delay: u64,
}

/// What a death means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pause {
    pub(super) millis: u64,
    /// It dies again and again.
    pub(super) is_loop: bool,
    /// It was not known before that it does.
    pub(super) is_news: bool,
    /// It is of no use to try on: wait until somebody needs a daemon.
    pub(super) gives_up: bool,
}

impl BackOff {
    /// After a daemon that was started at `started` has died at `now` (milliseconds since boot).
    pub(super) fn after_death(&mut self, started: u64, now: u64) -> Pause {
        if now.saturating_sub(started) >= WELL_AFTER {
            *self = BackOff::default();
        }
        if self.deaths == 0 || now.saturating_sub(self.first_death) > WELL_AFTER && self.deaths < LOOP_DEATHS {
            (self.deaths, self.first_death) = (0, now);
        }
        self.deaths = self.deaths.saturating_add(1);
        if self.deaths >= LOOP_DEATHS {
            self.delay = LONGEST_DELAY;
        }
        let millis = self.delay;
        self.delay = (self.delay * 2).clamp(FIRST_DELAY, LONGEST_DELAY);
        Pause {
            millis,
            is_loop: self.deaths >= LOOP_DEATHS,
            is_news: self.deaths == LOOP_DEATHS,
            gives_up: self.deaths >= LAST_DEATH,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_a_crash_loop_is_slowed_and_a_long_life_forgives() {
        let mut back_off = BackOff::default();
        let mut pauses = Vec::new();
        for death in 0..8 {
            pauses.push(back_off.after_death(death * 100, death * 100 + 1));
        }
        let millis: Vec<u64> = pauses.iter().map(|pause| pause.millis).collect();
        assert_eq!(millis[..6], [0, 10, 20, 40, 5_000, 5_000]);
        let at = |is: fn(&Pause) -> bool| {
            pauses.iter().enumerate().filter(|(_, p)| is(p)).map(|(at, _)| at).collect::<Vec<_>>()
        };
        assert_eq!(at(|pause| pause.is_loop), [4, 5, 6, 7]);
        assert_eq!((at(|pause| pause.is_news), at(|pause| pause.gives_up)), (vec![4], vec![7]));
        assert_eq!(back_off.after_death(20_000, 30_000).millis, 0);
    }

    #[test]
    fn deaths_far_apart_are_no_loop_but_still_wait_longer() {
        let mut back_off = BackOff::default();
        let mut last = Pause { millis: 0, is_loop: false, is_news: false, gives_up: false };
        for death in 0..20 {
            last = back_off.after_death(death * 9_000, death * 9_000 + 8_999);
            assert!(!last.is_loop && !last.gives_up);
        }
        assert_eq!(last.millis, 5_000);
    }
}
