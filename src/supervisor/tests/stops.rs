use super::*;

#[test]
fn a_stop_tells_of_the_exit_and_then_of_the_end() {
    let mut story = Story::online(policy());
    assert_eq!(story.stop(7), "stop 1 tree");
    assert_eq!((story.status(), story.view().pid), ("stopping", Some(101)));
    assert_eq!(story.exited(1, 0), "ended 1 exit[stopping]");
    assert_eq!(story.tree_gone(1), "exit[stopped] 7=done[stopped]");
    let view = story.view();
    assert_eq!((view.pid, view.unstable_restarts, view.restart_time), (None, 0, 0));
}

#[test]
fn the_tree_may_be_gone_before_its_root() {
    let mut story = Story::online(Policy { treekill: false, ..policy() });
    assert_eq!(story.stop(7), "stop 1");
    assert_eq!(story.tree_gone(1), "");
    assert_eq!(story.exited(1, 0), "ended 1 exit[stopping] exit[stopped] 7=done[stopped]");
}

#[test]
fn stopping_what_is_stopped_is_a_success() {
    let mut story = Story::online(policy());
    story.stop(7);
    story.gone(1);
    assert_eq!(story.stop(8), "8=done[stopped]");
}

#[test]
fn whoever_ignores_the_signal_is_killed() {
    let mut story = Story::online(policy());
    story.stop(7);
    assert_eq!(story.after(1599), "");
    assert_eq!(story.after(1), "kill 1 tree");
    assert_eq!(story.gone(1), "ended 1 exit[stopping] exit[stopped] 7=done[stopped]");
}

#[test]
fn whoever_survives_the_kill_is_errored_and_the_answer_is_a_success() {
    let mut story = Story::online(policy());
    story.stop(7);
    story.after(1600);
    assert_eq!(story.after(1600), "exit[errored] 7=done[errored]");
    assert_eq!(story.view().pid, Some(101));
    assert_eq!(story.supervisor.deadline(), None);
    // Its place is not free: a start ends it first.
    assert_eq!(story.start(8), "stop 1 tree");
    assert_eq!(story.gone(1), "ended 1 exit[stopping] exit[stopped] spawn 2");
    assert_eq!(story.spawned(2), "online[launching] 8=done[online]");
}

#[test]
fn a_survivor_that_dies_late_is_noticed() {
    let mut story = Story::online(policy());
    story.stop(7);
    story.after(1600);
    story.after(1600);
    assert_eq!(story.exited(1, 0), "ended 1 exit[errored]");
    assert_eq!(story.view().pid, None);
}

#[test]
fn a_restart_that_cannot_end_the_old_process_says_so() {
    let mut story = Story::online(policy());
    story.restart(7);
    story.after(1600);
    assert_eq!(story.after(1600), "exit[errored] 7=SpawnFailed");
    assert_eq!(story.view().restart_time, 0);
}

#[test]
fn a_lingering_tree_is_killed_too() {
    let mut story = Story::online(policy());
    story.stop(7);
    story.exited(1, 0);
    assert_eq!(story.after(1600), "kill 1 tree");
    assert_eq!(story.tree_gone(1), "exit[stopped] 7=done[stopped]");
}

#[test]
fn a_stop_may_be_a_message() {
    let mut story = Story::online(Policy { shutdown_with_message: true, ..policy() });
    assert_eq!(story.stop(7), "message 1");
    assert_eq!(story.after(1600), "kill 1 tree");
}

#[test]
fn a_stop_wins_while_the_process_is_being_spawned() {
    let mut story = Story::empty();
    story.on(Input::Register { id: ID, policy: policy(), start: true, ticket: Some(Ticket(6)) });
    assert_eq!(story.stop(7), "6=Superseded");
    assert_eq!(story.status(), "stopping");
    assert_eq!(story.spawned(1), "stop 1 tree");
    assert_eq!(story.gone(1), "ended 1 exit[stopping] exit[stopped] 7=done[stopped]");
}

#[test]
fn a_stop_of_what_then_fails_to_spawn_ends_in_stopped() {
    let mut story = Story::registered(policy());
    story.stop(7);
    assert_eq!(story.spawn_failed(1), "7=done[stopped]");
}

#[test]
fn a_stop_wins_while_the_process_is_not_ready() {
    let mut story = Story::registered(Policy { wait_ready: true, ..policy() });
    story.spawned(1);
    assert_eq!(story.stop(7), "stop 1 tree");
    assert_eq!(story.ready(1), "");
    assert_eq!(story.gone(1), "ended 1 exit[stopping] exit[stopped] 7=done[stopped]");
}

#[test]
fn a_stop_cancels_a_restart_that_waits_for_its_delay() {
    let mut story = Story::online(Policy { restart_delay: 300, ..policy() });
    story.exited(1, 1);
    assert_eq!(story.stop(7), "7=done[stopped]");
    assert_eq!(story.after(1000), "");
    assert_eq!((story.status(), story.view().restart_time), ("stopped", 0));
}

#[test]
fn a_crash_and_a_stop_at_the_same_moment_end_in_stopped() {
    let mut story = Story::online(policy());
    story.exited(1, 1);
    assert_eq!(story.stop(7), "");
    assert_eq!(story.spawned(2), "stop 2 tree");
    assert_eq!(story.gone(2), "ended 2 exit[stopping] exit[stopped] 7=done[stopped]");
}

#[test]
fn delete_stops_tells_answers_and_forgets() {
    let mut story = Story::online(policy());
    assert_eq!(story.delete(7), "stop 1 tree");
    assert_eq!(story.gone(1), "ended 1 exit[stopping] exit[stopped] delete[stopped] 7=done[stopped] remove");
    assert_eq!((story.supervisor.view(ID), story.supervisor.deadline()), (None, None));
}
