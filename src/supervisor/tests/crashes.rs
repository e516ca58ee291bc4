use super::*;

#[test]
fn a_crash_without_delay_is_followed_by_a_spawn_at_once() {
    let mut story = Story::online(policy());
    story.sleep(5000);
    assert_eq!(story.exited(1, 3), "ended 1 exit[stopped] spawn 2");
    assert_eq!(story.view().restart_time, 1);
    assert_eq!(story.view().last_exit, Some(Exit::Code(3)));
    assert_eq!(story.spawned(2), "online[launching]");
}

#[test]
fn a_crash_with_a_delay_waits_for_it() {
    let mut story = Story::online(Policy { restart_delay: 300, ..policy() });
    assert_eq!(story.exited(1, 1), "ended 1 exit[stopped]");
    assert_eq!((story.status(), story.view().restart_time), ("waiting restart", 0));
    assert_eq!(story.after(299), "");
    assert_eq!(story.after(1), "spawn 2");
    assert_eq!(story.view().restart_time, 1);
}

#[test]
fn the_sixteenth_quick_crash_is_the_last() {
    let mut story = Story::online(policy());
    for run in 1..16 {
        assert_eq!(story.exited(run, 1), format!("ended {run} exit[stopped] spawn {}", run + 1));
        story.spawned(run + 1);
    }
    let effects = story.supervisor.on(Input::Exited { id: ID, run: RunId(16), exit: Exit::Code(1) }, story.now);
    assert_eq!(words(&effects), "ended 16 restart overlimit[errored] exit[errored]");
    let counted = effects.iter().find_map(|effect| match effect {
        Effect::Publish { event: ProcessEvent::RestartOverlimit, view, .. } => Some(view.unstable_restarts),
        _ => None,
    });
    assert_eq!(counted, Some(16));
    let view = story.view();
    assert_eq!((view.restart_time, view.unstable_restarts, view.created_at), (15, 0, None));
    assert_eq!(story.stop(7), "7=done[stopped]");
}

#[test]
fn what_should_stay_down_is_stopped_even_with_a_delay() {
    for policy in [
        Policy { autorestart: false, restart_delay: 9, ..policy() },
        Policy { stop_exit_codes: vec![0, 7], restart_delay: 9, ..policy() },
        Policy { max_restarts: 0, exp_backoff_restart_delay: 9, ..policy() },
    ] {
        let mut story = Story::online(policy);
        assert_eq!(story.exited(1, 7), "ended 1 exit[stopped]");
        assert_eq!((story.status(), story.supervisor.deadline()), ("stopped", None));
    }
}

#[test]
fn the_grown_delay_is_shown_as_zero_once_the_app_was_up_long_enough() {
    let mut story = Story::online(Policy { exp_backoff_restart_delay: 100, ..policy() });
    story.exited(1, 1);
    story.after(100);
    story.spawned(2);
    assert_eq!(story.view().prev_restart_delay, Some(100));
    assert_eq!(story.supervisor.deadline(), Some(story.now.mono + 30_001));
    story.after(30_001);
    assert_eq!(story.view().prev_restart_delay, Some(0));
    assert_eq!(story.supervisor.deadline(), None);
}

#[test]
fn the_wishes_may_change_while_it_runs() {
    let mut story = Story::online(policy());
    story.on(Input::Configure { id: ID, policy: Policy { autorestart: false, ..policy() } });
    assert_eq!(story.exited(1, 1), "ended 1 exit[stopped]");
    assert_eq!(story.status(), "stopped");
}

#[test]
fn reset_forgets_the_counters() {
    let mut story = Story::online(policy());
    story.exited(1, 1);
    story.spawned(2);
    story.sleep(10);
    story.on(Input::Reset { id: ID });
    let view = story.view();
    assert_eq!((view.restart_time, view.unstable_restarts, view.created_at), (0, 0, Some(1_000_010)));
}

#[test]
fn a_daemon_that_is_being_killed_restarts_nothing() {
    let mut story = Story::online(policy());
    assert_eq!(story.on(Input::ShuttingDown), "");
    assert_eq!(story.exited(1, 1), "ended 1 exit[stopped]");
    assert_eq!(story.status(), "stopped");
    for verb in [Verb::Start, Verb::Restart, Verb::Reload] {
        assert_eq!(story.command(verb, 7), "7=ShuttingDown");
    }
    assert_eq!(story.delete(8), "delete[stopped] 8=done[stopped] remove");
    let register = Input::Register { id: ID, policy: policy(), start: true, ticket: Some(Ticket(9)) };
    assert_eq!(story.on(register), "9=ShuttingDown remove");
}

#[test]
fn a_daemon_that_is_being_killed_calls_off_what_was_about_to_start() {
    let mut story = Story::online(Policy { restart_delay: 300, ..policy() });
    story.exited(1, 1);
    story.on(Input::ShuttingDown);
    assert_eq!((story.status(), story.after(300)), ("stopped", String::new()));

    let mut story = Story::online(policy());
    story.restart(7);
    story.restart(8);
    assert_eq!(story.on(Input::ShuttingDown), "7=ShuttingDown 8=ShuttingDown");
    assert_eq!(story.gone(1), "ended 1 exit[stopping] exit[stopped]");
}
