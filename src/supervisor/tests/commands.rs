use super::*;

#[test]
fn a_restart_stops_counts_and_starts() {
    let mut story = Story::online(policy());
    story.sleep(10);
    assert_eq!(story.restart(7), "stop 1 tree");
    assert_eq!(story.gone(1), "ended 1 exit[stopping] exit[stopped] spawn 2");
    assert_eq!(story.spawned(2), "online[launching] 7=done[online]");
    let view = story.view();
    assert_eq!((view.restart_time, view.prev_restart_delay, view.created_at), (1, Some(0), Some(1_000_010)));
}

#[test]
fn restarting_what_does_not_run_starts_it_and_does_not_count() {
    let mut story = Story::online(policy());
    story.stop(6);
    story.gone(1);
    assert_eq!(story.restart(7), "spawn 2");
    assert_eq!(story.spawned(2), "online[launching] 7=done[online]");
    assert_eq!(story.view().restart_time, 0);
}

#[test]
fn a_restart_brings_a_waiting_one_forward() {
    let mut story = Story::online(Policy { restart_delay: 60_000, ..policy() });
    story.exited(1, 1);
    assert_eq!(story.restart(7), "spawn 2");
    assert_eq!(story.spawned(2), "online[launching] 7=done[online]");
    assert_eq!(story.view().restart_time, 1);
    assert_eq!(story.after(60_000), "");
}

#[test]
fn a_restart_does_not_wait_for_an_automatic_launch() {
    let mut story = Story::online(Policy { wait_ready: true, ..policy() });
    story.ready(1);
    story.exited(1, 1);
    story.spawned(2);
    assert_eq!(story.restart(7), "stop 2 tree");
    assert_eq!(story.gone(2), "ended 2 exit[stopping] exit[stopped] spawn 3");
    assert_eq!(story.view().restart_time, 2);
}

#[test]
fn two_restarts_in_a_row_are_two_restarts() {
    let mut story = Story::online(policy());
    story.restart(7);
    assert_eq!(story.restart(8), "");
    story.gone(1);
    assert_eq!(story.spawned(2), "online[launching] 7=done[online] stop 2 tree");
    story.gone(2);
    assert_eq!(story.spawned(3), "online[launching] 8=done[online]");
    assert_eq!(story.view().restart_time, 2);
}

#[test]
fn a_watcher_that_asks_twice_while_it_waits_gets_one_restart() {
    let mut story = Story::online(policy());
    story.restart(7);
    for _ in 0..3 {
        story.on(Input::Command { id: ID, verb: Verb::Restart, ticket: None });
    }
    story.gone(1);
    assert_eq!(story.spawned(2), "online[launching] 7=done[online] stop 2 tree");
    story.gone(2);
    assert_eq!(story.spawned(3), "online[launching]");
}

#[test]
fn a_stop_overtakes_what_waits() {
    let mut story = Story::online(policy());
    story.restart(7);
    story.restart(8);
    story.start(9);
    assert_eq!(story.stop(10), "7=Superseded 8=Superseded 9=Superseded");
    assert_eq!(story.stop(11), "");
    assert_eq!(story.gone(1), "ended 1 exit[stopping] exit[stopped] 10=done[stopped] 11=done[stopped]");
    assert_eq!((story.status(), story.view().restart_time), ("stopped", 0));
}

#[test]
fn a_start_after_a_stop_waits_for_its_end() {
    let mut story = Story::online(policy());
    story.stop(7);
    assert_eq!(story.start(8), "");
    assert_eq!(story.gone(1), "ended 1 exit[stopping] exit[stopped] 7=done[stopped] spawn 2");
    assert_eq!(story.spawned(2), "online[launching] 8=done[online]");
}

#[test]
fn a_delete_takes_over_a_stop_and_nothing_follows_it() {
    let mut story = Story::online(policy());
    story.stop(7);
    assert_eq!(story.delete(8), "");
    assert_eq!(story.restart(9), "9=Superseded");
    assert_eq!(story.stop(10), "");
    assert_eq!(
        story.gone(1),
        "ended 1 exit[stopping] exit[stopped] delete[stopped] 7=done[stopped] 8=done[stopped] 10=done[stopped] remove"
    );
}
